//! Processes, as others know them: by what they wrote down of themselves.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// A process of some machine. As text it is one line of words, which others can go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Host, its run, and the space of process numbers: what processes that can see each other have in common.
    machine: String,
    number: u32,
    /// When it started, as the system counts; numbers are given again.
    start: String,
}

impl Process {
    /// The one that asks.
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// One of this machine.
    pub(crate) fn of(number: u32) -> Self {
        Self { machine: machine().to_owned(), number, start: word(&started(number).unwrap_or_default()) }
    }

    /// The process that a text begins with.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        let [host, run, space, number, start, ..] = words[..] else { return None };
        let is_word = |word: &str| !word.is_empty() && !word.contains(|letter: char| letter.is_whitespace());
        if ![host, run, space, start].into_iter().all(is_word) {
            return None;
        }
        let number = number.parse().ok()?;
        Some(Self { machine: format!("{host} {run} {space}"), number, start: start.to_owned() })
    }

    /// Name of its machine.
    pub fn host(&self) -> &str {
        self.machine.split(' ').next().unwrap_or_default()
    }

    /// Its number there.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether it is of another machine, or of another space of process numbers: nothing can be known of it.
    pub fn is_elsewhere(&self) -> bool {
        self.machine != machine()
    }

    /// Whether it is a process of this machine that is no more.
    pub fn is_gone(&self) -> bool {
        !self.is_elsewhere()
            // Where others' processes are hidden, nothing can be known of them.
            && Path::new("/proc/1/stat").exists()
            && started(self.number).as_deref() != Some(&*self.start)
    }

    /// Whether this machine has been started anew since.
    pub fn is_of_earlier_run(&self) -> bool {
        let run = |machine: &str| machine.split(' ').nth(1).map(str::to_owned);
        self.host() == Self::this().host() && run(&self.machine) != run(machine())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.machine, self.number, self.start)
    }
}

fn machine() -> &'static str {
    static MACHINE: OnceLock<String> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let read = |file| word(&fs::read_to_string(file).unwrap_or_default());
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let (host, run) = (read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/random/boot_id"));
        format!("{host} {run} {}", word(&space.display().to_string()))
    })
}

/// A text as one word; where a system tells nothing, as those without `/proc`, that is one as well.
fn word(text: &str) -> String {
    match text.trim() {
        "" => "-".to_owned(),
        known => known.replace(' ', "_"),
    }
}

/// `None` where there is no such process, or the system does not tell.
fn started(process: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything.
    text.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_comes_back_from_its_text_whatever_follows() {
        let this = Process::this();
        assert_eq!(Process::parse(&format!("{this} 7")), Some(this.clone()));
        assert_eq!(Process::parse(&format!("{this}\n")), Some(this.clone()));
        assert_eq!((this.number(), this.is_gone(), this.is_of_earlier_run()), (std::process::id(), false, false));
        assert!(!this.is_elsewhere());
        assert_eq!(Process::parse("host run"), None);
        assert_eq!(Process::parse("host run space 7  more"), None);
        assert_eq!(Process::parse("host run space many start"), None);
        assert_eq!(Process::parse("host run space 7 start\nof another line"), None);
    }

    #[test]
    fn a_process_comes_back_from_its_text_where_the_system_tells_nothing_of_it() {
        let unknown = Process { machine: [word(""), word(""), word("")].join(" "), number: 7, start: word("\n") };
        assert_eq!(Process::parse(&unknown.to_string()), Some(unknown));
        assert_eq!(word("my host\n"), "my_host");
    }

    #[test]
    fn a_number_that_was_given_again_is_another_process() {
        let this = Process::this();
        assert!(Process { start: "1".to_owned(), ..this.clone() }.is_gone());
        assert!(!Process { start: "1".to_owned(), machine: "elsewhere run pid:[1]".to_owned(), ..this }.is_gone());
    }

    #[test]
    fn another_run_of_this_machine_is_over() {
        let this = Process::this();
        let then = Process { machine: format!("{} earlier pid:[1]", this.host()), ..this.clone() };
        assert!(then.is_of_earlier_run());
        assert!(!Process { machine: "elsewhere earlier pid:[1]".to_owned(), ..this }.is_of_earlier_run());
    }
}
