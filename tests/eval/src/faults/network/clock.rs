//! A clock that differs from that of a web server. The server's is the one that is set wrong: this machine's is never
//! touched.

use super::servers::Running;
use super::world::{Plan, World};
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;
/// A request's first bytes are enough to answer it.
const REQUEST: usize = 1024;

pub(super) struct ClockSkew;

impl Fault for ClockSkew {
    fn name(&self) -> &'static str {
        "clock-skew"
    }

    fn make(&self, _place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        super::super::program::must_be_apart()?;
        let plan = Plan::new(random)?;
        let off = i64::try_from(random.between(90, 400 * 86_400))?;
        let off = match (broken, random.between(0, 1)) {
            (false, _) => 0,
            (true, 0) => off,
            (true, _) => -off,
        };
        let mut world = World::new(&plan)?;
        world.serve_names()?;
        let at = SocketAddr::new(plan.host.into(), plan.port);
        world.serve_with(move || Running::each(at, move |stream| say_the_time(stream, off)))?;
        let (name, port) = (&plan.name, plan.port);
        let goals = [
            format!("check the clock against {name} port {port}"),
            format!("is the time right compared with {name} port {port}"),
        ];
        Ok(Made {
            goal: random.one_of(&goals)?.clone(),
            wanted: broken.then(|| Wanted {
                cause: "clock_skew",
                subject: "clock".to_owned(),
                repairs: false,
            }),
            needed: Vec::new(),
            healthy: Box::new(move || {
                let said = ask(at)?;
                ensure!(said.contains("\r\nDate: "), "the server said `{said}`");
                Ok(())
            }),
            _held: vec![Box::new(world)],
        })
    }
}

fn say_the_time(mut stream: TcpStream, off: i64) -> std::io::Result<()> {
    let mut request = [0; REQUEST];
    let _ = stream.read(&mut request)?;
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(std::io::Error::other)?;
    let now = i64::try_from(since.as_secs()).map_err(std::io::Error::other)?;
    let date = http_date(now + off);
    stream.write_all(
        format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
            .as_bytes(),
    )
}

fn ask(at: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(at).with_context(|| format!("connect to {at}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

/// A date as HTTP writes it (RFC 9110, 5.6.7), from seconds since 1970.
fn http_date(seconds: i64) -> String {
    const WEEK: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, i64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let (mut days, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let weekday = usize::try_from(days.rem_euclid(7))
        .ok()
        .and_then(|index| WEEK.get(index))
        .unwrap_or(&"Thu");
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let mut month = "Dec";
    for (name, length) in MONTHS {
        let length = length + i64::from(name == "Feb" && leap(year));
        if days < length {
            month = name;
            break;
        }
        days -= length;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!(
        "{weekday}, {:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT",
        days + 1
    )
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn dates_are_as_http_writes_them() {
        for (seconds, date) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_208_000, "Thu, 29 Feb 2024 12:00:00 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(seconds), date);
        }
    }
}
