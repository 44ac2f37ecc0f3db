//! What a line of a log says about why a program ended. Patterns over lines that real programs write;
//! the path, port, library or line number that it names is taken out of it.

/// A reason that a line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clue {
    /// It was not let to a path.
    Denied(String),
    /// A path is not there.
    Missing(String),
    /// Its port is another's; the port, where the line names it.
    PortTaken(Option<u64>),
    /// A library or module is not there.
    Library(String),
    /// A line of a configuration file; the file and the number, where they are named.
    Config(Option<String>, Option<u64>),
    /// There was no memory.
    Memory,
    /// The file system of a path cannot be written.
    ReadOnly(Option<String>),
    /// No space was left.
    NoSpace(Option<String>),
    /// Nobody answers at an address; the port, where the line names it.
    Refused(Option<u64>),
}

/// What a line says; `next` are the lines after it, where some programs go on.
pub(super) fn clue(text: &str, next: &[&str]) -> Option<Clue> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if let Some(rest) = after(text, "error while loading shared libraries: ") {
        return Some(Clue::Library(until(rest, &[':', ' '])));
    }
    if let Some((front, _)) = text.split_once(": cannot open shared object file") {
        let library = front.rsplit([' ', '\'', '"']).next().unwrap_or_default();
        return Some(Clue::Library(library.to_owned()));
    }
    if let Some(rest) = after(text, "No module named ") {
        return Some(Clue::Library(until(
            rest.trim_start_matches(['\'', '"']),
            &['\'', '"', ' ', ';'],
        )));
    }
    if has(&["Address already in use", "EADDRINUSE", "address already in use"]) {
        return Some(Clue::PortTaken(port_in(text)));
    }
    if has(&["Read-only file system", "EROFS"]) {
        return Some(Clue::ReadOnly(path_beside(text, "Read-only file system")));
    }
    if has(&["No space left on device", "ENOSPC", "Disk quota exceeded"]) {
        return Some(Clue::NoSpace(path_beside(text, "No space left on device")));
    }
    if has(&[
        "Cannot allocate memory",
        "Out of memory",
        "out of memory",
        "MemoryError",
        "OutOfMemoryError",
        "std::bad_alloc",
        "memory allocation of",
    ]) {
        return Some(Clue::Memory);
    }
    if let Some(config) = config(text, next) {
        return Some(config);
    }
    if has(&["Permission denied", "EACCES", "permission denied"]) {
        return path_beside(text, "ermission denied").map(Clue::Denied);
    }
    if has(&["No such file or directory", "ENOENT", "no such file or directory"]) {
        return path_beside(text, "o such file or directory").map(Clue::Missing);
    }
    if has(&["Connection refused", "ECONNREFUSED", "connection refused"]) {
        return Some(Clue::Refused(port_in(text)));
    }
    if has(&[": not found", "command not found"]) {
        return paths(text).pop().map(|(_, path)| Clue::Missing(path));
    }
    None
}

/// What follows the first `mark` in a text.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

/// The text up to the first of `ends`.
fn until(text: &str, ends: &[char]) -> String {
    text.split(|it| ends.contains(&it))
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Absolute paths in a line, with the byte at which each begins. `:12`, a full stop and quotation marks
/// at the end do not belong to a path.
pub(super) fn paths(text: &str) -> Vec<(usize, String)> {
    const BEFORE: &[char] = &[
        '\'', '"', '`', '(', '[', '=', '<', ':', ',', '\u{201c}', '\u{2018}',
    ];
    let mut found = Vec::new();
    let mut before: Option<char> = None;
    let mut skip_until = 0;
    for (at, here) in text.char_indices() {
        let opens = before.is_none_or(|it| it.is_whitespace() || BEFORE.contains(&it));
        if here == '/' && opens && at >= skip_until {
            let quote = before.filter(|it| ['\'', '"', '`'].contains(it));
            let rest = text.get(at..).unwrap_or_default();
            let raw: String = match quote {
                Some(quote) => rest.chars().take_while(|it| *it != quote).collect(),
                None => rest
                    .chars()
                    .take_while(|it| !it.is_whitespace() && !"'\"`)],;>\u{201d}\u{2019}".contains(*it))
                    .collect(),
            };
            skip_until = at + raw.len();
            let path = trimmed(&raw);
            // `//` begins what is left of an address of the web.
            if path.len() > 1 && !path.starts_with("//") {
                found.push((at, path));
            }
        }
        before = Some(here);
    }
    found
}

/// A path without `:12:5`, full stops and slashes at its end.
fn trimmed(raw: &str) -> String {
    let mut path = raw.trim_end_matches([':', '.']);
    while let Some((front, number)) = path.rsplit_once(':') {
        if number.is_empty() || !number.chars().all(|it| it.is_ascii_digit()) {
            break;
        }
        path = front.trim_end_matches(':');
    }
    if path.len() > 1 {
        path = path.trim_end_matches('/');
    }
    path.to_owned()
}

/// The path that a message is about: the first after it, else the last before it.
fn path_beside(text: &str, message: &str) -> Option<String> {
    let all = paths(text);
    let place = text.find(message);
    let is_after = |(at, _): &&(usize, String)| place.is_some_and(|place| *at > place);
    let after = all.iter().find(is_after);
    after.or(all.last()).map(|(_, path)| path.clone())
}

/// A port in a line: `:8080`, `port 8080`, `port=8080`.
pub(super) fn port_in(text: &str) -> Option<u64> {
    let number = |text: &str| -> Option<u64> {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|port| (1..=65_535).contains(port))
    };
    let lower = text.to_lowercase();
    for (place, _) in lower.match_indices("port") {
        let before = lower.get(..place).and_then(|it| it.chars().next_back());
        let rest = lower.get(place + 4..).unwrap_or_default();
        let rest = rest.trim_start_matches([' ', '=', ':', '"', '\'', '#']);
        if !before.is_some_and(char::is_alphabetic)
            && let Some(port) = number(rest)
        {
            return Some(port);
        }
    }
    // Of several the last that looks like an address: a time of day comes first in many logs, and its
    // minutes are below 60.
    let after_colon = |(place, _): (usize, &str)| {
        let port = number(text.get(place + 1..)?)?;
        let word = text.get(..place)?.rsplit(char::is_whitespace).next()?;
        let is_host = word.contains('.') || word.ends_with([']', '*']);
        (is_host || port > 59).then_some(port)
    };
    text.match_indices(':').filter_map(after_colon).next_back()
}

/// Words of which one stands in every complaint about a configuration.
const COMPLAINTS: &[&str] = &[
    "error",
    "invalid",
    "unknown",
    "unexpected",
    "bad ",
    "expect",
    "syntax",
    "pars",
    "emerg",
    "fatal",
    "illegal",
    "unrecognized",
    "unrecognised",
    "duplicate",
    "not allowed",
    "unsupported",
    "malformed",
    "no section headers",
];

/// Ends of names of programs' texts: a traceback's place is no configuration.
const CODE: &[&str] = &[
    ".py", ".pyc", ".rb", ".pl", ".pm", ".js", ".mjs", ".ts", ".java", ".go", ".rs", ".c", ".cc", ".cpp",
    ".h", ".so", ".sh", ".php", ".log",
];

/// Ends of names of configuration files.
const CONFIGURATION: &[&str] = &[
    ".conf",
    ".cfg",
    ".cnf",
    ".ini",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".xml",
    ".properties",
    ".config",
    ".rules",
    ".env",
];

/// Whether a path looks like a configuration file's.
pub(super) fn is_configuration(path: &str) -> bool {
    let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    ends(CONFIGURATION) || (path.starts_with("/etc/") && !ends(CODE))
}

fn config(text: &str, next: &[&str]) -> Option<Clue> {
    let lower = text.to_lowercase();
    if !COMPLAINTS.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let file = paths(text).into_iter().find(|(_, path)| is_configuration(path));
    let follows = |lines: &[&str]| lines.iter().take(2).find_map(|line| line_number(line));
    match file {
        Some((at, path)) => {
            // What stands right behind the name is its line.
            let behind = text.get(at + path.len()..).unwrap_or_default();
            let direct = number_after(behind.trim_start_matches(['"', '\'']), &[":", "("]);
            let line = direct.or_else(|| line_number(text)).or_else(|| follows(next));
            // A file that is only missing or closed is no bad line.
            let other = ["Permission denied", "No such file"]
                .iter()
                .any(|it| text.contains(it));
            (line.is_some() || !other).then_some(Clue::Config(Some(path), line))
        }
        None => {
            let is_code = CODE.iter().any(|end| text.contains(&format!("{end}\"")));
            let place = line_number(text).filter(|_| !is_code);
            // Only what parsers of configuration say; `line 3` alone could be anything.
            let parser = ["Decode", "Parsing", "parse", "column"]
                .iter()
                .any(|it| text.contains(it));
            place
                .filter(|_| parser)
                .map(|line| Clue::Config(None, Some(line)))
        }
    }
}

/// The number behind `line` in a text.
fn line_number(text: &str) -> Option<u64> {
    let lower = text.to_lowercase();
    lower.match_indices("line").find_map(|(place, _)| {
        let rest = lower.get(place + 4..)?;
        number_after(rest, &[" ", ": ", ":", "  ", "=", " #"])
    })
}

fn number_after(text: &str, marks: &[&str]) -> Option<u64> {
    marks.iter().find_map(|mark| {
        let rest = text.strip_prefix(mark)?.trim_start();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|number| *number > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn lines_of_real_programs_are_understood() {
        let config = |file: &str, line: u64| Some(Clue::Config(Some(file.to_owned()), Some(line)));
        for (text, wanted) in [
            (
                "PermissionError: [Errno 13] Permission denied: '/var/lib/shop/db.sqlite'",
                Some(Clue::Denied(path("/var/lib/shop/db.sqlite"))),
            ),
            (
                "nginx: [alert] could not open error log file: open() \"/var/log/nginx/error.log\" failed (13: Permission denied)",
                Some(Clue::Denied(path("/var/log/nginx/error.log"))),
            ),
            (
                "/usr/bin/shopd: cannot open /srv/shop/data: Permission denied",
                Some(Clue::Denied(path("/srv/shop/data"))),
            ),
            (
                "FileNotFoundError: [Errno 2] No such file or directory: '/run/shop/shop.pid'",
                Some(Clue::Missing(path("/run/shop/shop.pid"))),
            ),
            (
                "Error: ENOENT: no such file or directory, open '/srv/app/config/prod.key'",
                Some(Clue::Missing(path("/srv/app/config/prod.key"))),
            ),
            (
                "nginx: [emerg] bind() to 0.0.0.0:8080 failed (98: Address already in use)",
                Some(Clue::PortTaken(Some(8080))),
            ),
            (
                "OSError: [Errno 98] Address already in use",
                Some(Clue::PortTaken(None)),
            ),
            (
                "listen tcp :8443: bind: address already in use",
                Some(Clue::PortTaken(Some(8443))),
            ),
            (
                "Error: listen EADDRINUSE: address already in use :::3000",
                Some(Clue::PortTaken(Some(3000))),
            ),
            (
                "12:34:56 cannot listen on port 7777: Address already in use",
                Some(Clue::PortTaken(Some(7777))),
            ),
            (
                "OSError: libshop.so.3: cannot open shared object file: No such file or directory",
                Some(Clue::Library(path("libshop.so.3"))),
            ),
            (
                "/opt/shop/bin/shopd: error while loading shared libraries: libshop.so.3: cannot open shared object file: No such file or directory",
                Some(Clue::Library(path("libshop.so.3"))),
            ),
            (
                "ModuleNotFoundError: No module named 'flask'",
                Some(Clue::Library(path("flask"))),
            ),
            (
                "nginx: [emerg] unknown directive \"lissten\" in /etc/nginx/sites-enabled/shop:12",
                config("/etc/nginx/sites-enabled/shop", 12),
            ),
            (
                "/etc/ssh/sshd_config: line 87: Bad configuration option: PermitRoot",
                config("/etc/ssh/sshd_config", 87),
            ),
            (
                "/etc/ssh/sshd_config line 3: unsupported option \"x\".",
                config("/etc/ssh/sshd_config", 3),
            ),
            (
                "AH00526: Syntax error on line 7 of /etc/apache2/apache2.conf:",
                config("/etc/apache2/apache2.conf", 7),
            ),
            (
                "[ALERT] (1) : parsing [/etc/haproxy/haproxy.cfg:21] : unknown keyword 'balanc'",
                config("/etc/haproxy/haproxy.cfg", 21),
            ),
            (
                "yaml.scanner.ScannerError: bad indent in \"/srv/shop/shop.yml\", line 4, column 3",
                config("/srv/shop/shop.yml", 4),
            ),
            (
                "tomllib.TOMLDecodeError: Invalid value (at line 2, column 8)",
                Some(Clue::Config(None, Some(2))),
            ),
            (
                "OSError: [Errno 30] Read-only file system: '/srv/shop/x'",
                Some(Clue::ReadOnly(Some(path("/srv/shop/x")))),
            ),
            (
                "OSError: [Errno 28] No space left on device: '/srv/shop/x'",
                Some(Clue::NoSpace(Some(path("/srv/shop/x")))),
            ),
            ("MemoryError", Some(Clue::Memory)),
            (
                "connection to server at \"127.0.0.1\", port 5432 failed: Connection refused",
                Some(Clue::Refused(Some(5432))),
            ),
            ("  File \"/opt/shop/main.py\", line 3, in <module>", None),
            ("GET http://example.org/x 200", None),
            ("shopd starts, version 3.1", None),
        ] {
            assert_eq!(clue(text, &[]), wanted, "{text}");
        }
    }

    #[test]
    fn a_parser_that_names_the_line_on_the_next_line_is_understood() {
        let text = "configparser.ParsingError: Source contains parsing errors: '/etc/shop.ini'";
        let found = clue(text, &["\t[line  3]: 'colour red'"]);
        assert_eq!(found, Some(Clue::Config(Some(path("/etc/shop.ini")), Some(3))));
    }
}
