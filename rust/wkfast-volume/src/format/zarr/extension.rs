//! An extension point of Zarr v3's metadata: a data type, a chunk grid, a codec.

use serde::Deserialize;
use serde_json::{Map, Value};

/// `"name"`, or `{"name": …, "configuration": {…}, "must_understand": …}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Spelling")]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) configuration: Map<String, Value>,
    /// Whether an array is misread by one who does not know the extension. True unless the file says otherwise.
    pub(super) must_understand: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Name(String),
    Object {
        name: String,
        #[serde(default)]
        configuration: Option<Map<String, Value>>,
        #[serde(default = "yes")]
        must_understand: bool,
    },
}

fn yes() -> bool {
    true
}

impl From<Spelling> for Extension {
    fn from(spelling: Spelling) -> Self {
        let (name, configuration, must_understand) = match spelling {
            Spelling::Name(name) => (name, None, true),
            Spelling::Object { name, configuration, must_understand } => (name, configuration, must_understand),
        };
        Self { name, configuration: configuration.unwrap_or_default(), must_understand }
    }
}

impl Extension {
    /// A key of its configuration.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.configuration.get(key)
    }

    /// A key that it must have, as a `T`.
    pub(super) fn field<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<T, String> {
        let value = self.get(key).ok_or_else(|| format!("{} lacks {key}", self.name))?;
        serde_json::from_value(value.clone()).map_err(|error| format!("{key} of {}: {error}", self.name))
    }
}
