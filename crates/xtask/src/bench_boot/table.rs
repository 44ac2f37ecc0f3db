//! Figures of both sides beside each other.

/// Median, least and most of a figure over all boots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// None of no figures.
    pub(super) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let upper = *figures.get(middle)?;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(*figures.get(middle.checked_sub(1)?)?, upper)
        } else {
            upper
        };
        Some(Self {
            median,
            least: *figures.first()?,
            most: *figures.last()?,
        })
    }

    fn text(self) -> String {
        format!("{:10.1} ({:.1} to {:.1})", self.median, self.least, self.most)
    }
}

/// A line: what, in which unit, aiOS, systemd, and what part of systemd's figure ours may be at most.
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) aios: Spread,
    pub(super) systemd: Spread,
    pub(super) goal: Option<f64>,
}

/// The heading and its lines.
pub(super) fn lines(rows: &[Row]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<52} {:<5} {:<34} {:<34} {:>5}  goal",
        "what", "unit", "  aios-init: median (least to most)", "    systemd: median (least to most)", "ratio"
    )];
    lines.extend(rows.iter().map(|row| {
        let ratio = row.aios.median / row.systemd.median;
        let goal = row.goal.map_or(String::new(), |most| {
            let kept = if ratio <= most { "yes" } else { "NO" };
            format!("<= {most}  {kept}")
        });
        format!(
            "{:<52} {:<5} {:<34} {:<34} {ratio:>5.2}  {goal}",
            row.what,
            row.unit,
            row.aios.text(),
            row.systemd.text()
        )
        .trim_end()
        .to_owned()
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_of_odd_and_even_numbers() {
        let spread = |figures: &[f64]| Spread::of(figures.to_vec()).map(|it| (it.median, it.least, it.most));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn a_line_says_whether_its_goal_is_kept() {
        let flat = |figure| Spread {
            median: figure,
            least: figure,
            most: figure,
        };
        for (aios, goal, end) in [
            (4.0, Some(0.5), "0.40  <= 0.5  yes"),
            (6.0, Some(0.5), "0.60  <= 0.5  NO"),
            (6.0, None, "0.60"),
        ] {
            let row = Row {
                what: "x",
                unit: "ms",
                aios: flat(aios),
                systemd: flat(10.0),
                goal,
            };
            let lines = lines(&[row]);
            assert!(lines.last().unwrap().ends_with(end), "{lines:?}");
        }
    }
}
