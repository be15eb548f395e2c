//! What statuses of HTTP mean: one table for all who send requests, those in Python as well.

/// What an answer that is no success says of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not accepted.
    Request,
    /// It says not, or not validly, who is asking.
    Token,
    /// Who is asking may not.
    Right,
    /// What it asks for is not there, or not for who is asking.
    Missing,
    /// The proxy does not let it pass.
    Proxy,
    /// The server has too much to do.
    Busy,
    /// The server is in trouble.
    Server,
}

/// The statuses that mean something of their own; whether the server certainly did nothing and asks to come again.
const KNOWN: [(u16, Refusal, bool); 8] = [
    (401, Refusal::Token, false),
    (403, Refusal::Right, false),
    (404, Refusal::Missing, false),
    (407, Refusal::Proxy, false),
    (408, Refusal::Busy, false),
    (425, Refusal::Busy, false),
    (429, Refusal::Busy, true),
    (503, Refusal::Server, true),
];

fn known(status: u16) -> Option<(Refusal, bool)> {
    KNOWN.iter().find(|(known, ..)| *known == status).map(|(_, refusal, put_off)| (*refusal, *put_off))
}

impl Refusal {
    /// What `status`, which is no success, says.
    pub fn of(status: u16) -> Self {
        let other = if status >= 500 { Self::Server } else { Self::Request };
        known(status).map_or(other, |(refusal, _)| refusal)
    }

    /// Whether the server may answer another time.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Busy | Self::Server)
    }

    /// Its name, for who speaks another language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Token => "token",
            Self::Right => "right",
            Self::Missing => "missing",
            Self::Proxy => "proxy",
            Self::Busy => "busy",
            Self::Server => "server",
        }
    }
}

/// Whether the server certainly did nothing and asks to come again, so that even what creates something may be repeated.
pub fn is_put_off(status: u16) -> bool {
    known(status).is_some_and(|(_, put_off)| put_off)
}

/// Whether what was asked for lies where the answer says.
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301..=303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_is_the_fault_of_the_request_or_of_the_server() {
        assert_eq!([400, 418, 499].map(Refusal::of), [Refusal::Request; 3]);
        assert_eq!([500, 502, 599].map(Refusal::of), [Refusal::Server; 3]);
        assert_eq!([404, 429].map(Refusal::of), [Refusal::Missing, Refusal::Busy]);
    }

    #[test]
    fn what_is_put_off_passes() {
        let put_off: Vec<u16> = (100..600).filter(|&status| is_put_off(status)).collect();
        assert_eq!(put_off, [429, 503]);
        assert!(put_off.iter().all(|&status| Refusal::of(status).is_passing()));
        assert!(!Refusal::of(401).is_passing());
    }
}
