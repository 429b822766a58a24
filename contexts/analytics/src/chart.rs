//! Answers drawn: as scalable graphics that need no script, with the same figures in words.

use facts::Row;
use jiff::tz::TimeZone;
use kernel::Timestamp;

use crate::question::{Answer, StepView};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
/// Room for the figures at the side and the days below.
const LEFT: f64 = 56.0;
const BELOW: f64 = 26.0;
const ABOVE: f64 = 10.0;
/// The most lines of one chart; the table has all.
const MOST_LINES: usize = 5;

/// A bar that stands on its instant.
pub(crate) struct Bar {
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) width: String,
    pub(crate) height: String,
    pub(crate) says: String,
}

/// A line through the instants of a group.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: String,
    pub(crate) last: (String, String),
}

/// A mark at the side, or below.
pub(crate) struct Tick {
    pub(crate) at: String,
    pub(crate) says: String,
}

/// A bar that lies beside its name.
pub(crate) struct Beam {
    pub(crate) name: String,
    pub(crate) width: String,
    pub(crate) says: String,
}

/// A chart.
pub(crate) enum Chart {
    /// Over time.
    Time { bars: Vec<Bar>, lines: Vec<Line>, sides: Vec<Tick>, days: Vec<Tick> },
    /// One beside the other.
    Beams(Vec<Beam>),
    /// One figure.
    Figure(String),
    /// There is nothing to draw.
    Empty,
}

/// A table of the same figures.
pub(crate) struct Table {
    pub(crate) heads: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A figure as people write it: thousands apart, two decimals at the most.
pub(crate) fn figure(value: f64) -> String {
    let whole = value.fract().abs() < 0.005 || value.abs() >= 1e6;
    let text = if whole { format!("{value:.0}") } else { format!("{value:.2}") };
    let (digits, decimals) = text.split_once('.').map_or((text.as_str(), None), |(left, right)| (left, Some(right)));
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    let decimals = decimals.map(|it| format!(".{it}")).unwrap_or_default();
    format!("{sign}{grouped}{decimals}")
}

fn named(row: &Row) -> String {
    if row.other {
        return "other".to_owned();
    }
    let name = |group: &Option<String>| group.clone().unwrap_or_else(|| "none".to_owned());
    row.groups.iter().map(name).collect::<Vec<_>>().join(" · ")
}

fn day(at: Timestamp, zone: &TimeZone) -> String {
    let local = zone.to_datetime(at);
    let midnight = (local.hour(), local.minute()) == (0, 0);
    let clock = if midnight { String::new() } else { format!(" {:02}:{:02}", local.hour(), local.minute()) };
    format!("{}{clock}", local.date())
}

/// The smallest of 1, 2 and 5 times a power of ten that is not less.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|it| *it >= value * 0.999_999).unwrap_or(value)
}

/// Where instants and values are drawn.
struct Frame {
    first: f64,
    span: f64,
    slots: f64,
    top: f64,
    bottom: f64,
}

#[expect(clippy::cast_precision_loss, reason = "pixels")]
impl Frame {
    fn of(rows: &[(Timestamp, &Row)]) -> Self {
        let instants: Vec<f64> = rows.iter().map(|(at, _)| at.as_millisecond() as f64).collect();
        let (first, last) = instants.first().zip(instants.last()).map_or((0.0, 0.0), |(first, last)| (*first, *last));
        let apart = instants.windows(2).map(|pair| pair.iter().rev().copied().reduce(|a, b| a - b).unwrap_or(0.0));
        let apart = apart.filter(|it| *it > 0.0).fold(f64::INFINITY, f64::min);
        let slots = if apart.is_finite() { ((last - first) / apart).round() + 1.0 } else { 1.0 };
        let values = || rows.iter().map(|(_, row)| row.value);
        let top = round_up(values().fold(0.0, f64::max));
        let low = values().fold(0.0, f64::min);
        let bottom = if low < 0.0 { -round_up(-low) } else { 0.0 };
        Self { first, span: (last - first).max(1.0), slots: slots.clamp(1.0, 2_000.0), top, bottom }
    }

    fn slot(&self) -> f64 {
        (WIDTH - LEFT) / self.slots
    }

    /// The middle of an instant's place.
    fn x(&self, at: Timestamp) -> f64 {
        let share = (at.as_millisecond() as f64 - self.first) / self.span;
        LEFT + self.slot() / 2.0 + share * (WIDTH - LEFT - self.slot())
    }

    fn y(&self, value: f64) -> f64 {
        ABOVE + (self.top - value) / (self.top - self.bottom) * (HEIGHT - ABOVE - BELOW)
    }

    fn sides(&self) -> Vec<Tick> {
        let middle = f64::midpoint(self.top, self.bottom);
        let tick = |value| Tick { at: format!("{:.1}", self.y(value)), says: figure(value) };
        [self.bottom, middle, self.top].map(tick).into()
    }
}

fn over_time(rows: &[(Timestamp, &Row)], zone: &TimeZone) -> Chart {
    let frame = Frame::of(rows);
    let mut groups: Vec<(String, Vec<(Timestamp, &Row)>)> = Vec::new();
    for (at, row) in rows {
        let name = named(row);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push((*at, row)),
            None => groups.push((name, vec![(*at, row)])),
        }
    }
    let days = [rows.first(), rows.last()].into_iter().flatten();
    let days = days.map(|(at, _)| Tick { at: format!("{:.1}", frame.x(*at)), says: day(*at, zone) });
    let (days, sides) = (days.take(if rows.len() > 1 { 2 } else { 1 }).collect(), frame.sides());
    if let [(_, rows)] = groups.as_slice() {
        let bar = |(at, row): &(Timestamp, &Row)| {
            let width = (frame.slot() * 0.8).clamp(1.0, 48.0);
            let (zero, value) = (frame.y(0.0_f64.clamp(frame.bottom, frame.top)), frame.y(row.value));
            Bar {
                x: format!("{:.1}", frame.x(*at) - width / 2.0),
                y: format!("{:.1}", zero.min(value)),
                width: format!("{width:.1}"),
                height: format!("{:.1}", (zero - value).abs()),
                says: format!("{}: {}", day(*at, zone), figure(row.value)),
            }
        };
        return Chart::Time { bars: rows.iter().map(bar).collect(), lines: Vec::new(), sides, days };
    }
    let sum = |rows: &[(Timestamp, &Row)]| rows.iter().map(|(_, row)| row.value.abs()).sum::<f64>();
    groups.sort_by(|left, right| sum(&right.1).total_cmp(&sum(&left.1)));
    let line = |(name, rows): (String, Vec<(Timestamp, &Row)>)| {
        let point =
            |(at, row): &(Timestamp, &Row)| (format!("{:.1}", frame.x(*at)), format!("{:.1}", frame.y(row.value)));
        let points: Vec<_> = rows.iter().map(point).collect();
        let last = points.last().cloned().unwrap_or_default();
        Line { name, points: points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" "), last }
    };
    Chart::Time { bars: Vec::new(), lines: groups.into_iter().take(MOST_LINES).map(line).collect(), sides, days }
}

fn beams(named: impl Iterator<Item = (String, f64)>) -> Chart {
    let named: Vec<_> = named.collect();
    let most = named.iter().map(|(_, value)| value.abs()).fold(0.0, f64::max);
    let width = |value: f64| if most > 0.0 { format!("{:.1}", value.abs() / most * 100.0) } else { "0".to_owned() };
    let beam = |(name, value): (String, f64)| Beam { name, width: width(value), says: figure(value) };
    Chart::Beams(named.into_iter().take(20).map(beam).collect())
}

/// The chart of an answer.
#[expect(clippy::cast_precision_loss, reason = "people are fewer than 2^53")]
pub(crate) fn of(answer: &Answer, zone: &TimeZone) -> Chart {
    let rows = match answer {
        Answer::Steps(steps) => return beams(steps.iter().map(|step| (step.name.clone(), step.people as f64))),
        Answer::Rows(rows) => rows,
    };
    let timed: Vec<(Timestamp, &Row)> = rows.iter().filter_map(|row| Some((row.bucket?, row))).collect();
    match rows.as_slice() {
        [] => Chart::Empty,
        [only] if only.bucket.is_none() && only.groups.is_empty() => Chart::Figure(figure(only.value)),
        _ if timed.is_empty() => beams(rows.iter().map(|row| (named(row), row.value))),
        _ => over_time(&timed, zone),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn seconds(step: &StepView) -> String {
    let Some(seconds) = step.median_seconds else { return "–".to_owned() };
    match seconds {
        ..60.0 => format!("{seconds:.0} s"),
        ..3_600.0 => format!("{:.0} min", seconds / 60.0),
        ..86_400.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// The table of an answer: its first hundred rows, the latest first where they are over time.
pub(crate) fn table(answer: &Answer, zone: &TimeZone) -> Table {
    let heads = |heads: &[&str]| heads.iter().map(|head| (*head).to_owned()).collect();
    match answer {
        Answer::Steps(steps) => {
            let row = |step: &StepView| {
                let shares = [percent(step.of_first), percent(step.of_previous)];
                let people = figure(f64::from(u32::try_from(step.people).unwrap_or(u32::MAX)));
                [step.name.clone(), people].into_iter().chain(shares).chain([seconds(step)]).collect()
            };
            let heads = heads(&["Step", "People", "Of the first", "Of the one before", "Median time"]);
            Table { heads, rows: steps.iter().map(row).collect() }
        }
        Answer::Rows(rows) => {
            let timed = rows.iter().any(|row| row.bucket.is_some());
            let grouped = rows.iter().any(|row| !row.groups.is_empty());
            let row = |row: &Row| {
                let at = row.bucket.filter(|_| timed).map(|at| day(at, zone));
                at.into_iter().chain(grouped.then(|| named(row))).chain([figure(row.value)]).collect()
            };
            let wanted = [(timed, "From"), (grouped, "Group"), (true, "Value")];
            let wanted: Vec<&str> = wanted.into_iter().filter(|(there, _)| *there).map(|(_, head)| head).collect();
            let ordered: Vec<&Row> = if timed { rows.iter().rev().collect() } else { rows.iter().collect() };
            Table { heads: heads(&wanted), rows: ordered.into_iter().take(100).map(row).collect() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_do() {
        for (value, text) in
            [(0.0, "0"), (1_234.0, "1\u{202f}234"), (-1_234_567.0, "-1\u{202f}234\u{202f}567"), (2.5, "2.50")]
        {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn bars_stand_within_the_frame_and_leave_gaps_where_nothing_was() {
        let row = |day: u32, value: f64| Row {
            bucket: Some(format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()),
            groups: Vec::new(),
            other: false,
            value,
        };
        let answer = Answer::Rows(vec![row(1, 10.0), row(2, -3.0), row(5, 20.0)]);
        let Chart::Time { bars, .. } = of(&answer, &TimeZone::UTC) else { panic!("a chart over time") };
        let number = |text: &str| text.parse::<f64>().unwrap();
        for bar in &bars {
            assert!(number(&bar.x) >= LEFT && number(&bar.x) + number(&bar.width) <= WIDTH, "{}", bar.says);
            assert!(number(&bar.y) >= 0.0 && number(&bar.y) + number(&bar.height) <= HEIGHT, "{}", bar.says);
        }
        let gap = |left: usize, right: usize| number(&bars[right].x) - number(&bars[left].x);
        assert!((gap(1, 2) - 3.0 * gap(0, 1)).abs() < 1.0, "three days are three times as far as one");
    }
}
