//! One table: what was measured, beside its target and the limit of the same run.

use anyhow::Result;

use crate::load::Figures;

/// A path and what it is held to.
pub(crate) struct Row {
    name: String,
    target: Target,
}

enum Target {
    None,
    /// Microseconds of CPU at most.
    Cpu(f64),
    /// At least this share of a limit, which is so many a second; one request is so many of them.
    Share {
        share: f64,
        limit: f64,
        each: f64,
    },
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), target: Target::None }
    }

    pub(crate) fn cpu(name: &str, most: f64) -> Self {
        Self { name: name.to_owned(), target: Target::Cpu(most) }
    }

    pub(crate) fn share(name: &str, limit: f64, share: f64) -> Self {
        Self { name: name.to_owned(), target: Target::Share { share, limit, each: 1.0 } }
    }

    pub(crate) fn batch(name: &str, limit: f64, share: f64) -> Self {
        Self { name: name.to_owned(), target: Target::Share { share, limit, each: 100.0 } }
    }

    fn judged(&self, of: &Figures) -> (String, Option<bool>) {
        match self.target {
            Target::None => (String::new(), None),
            Target::Cpu(most) => (format!("<= {most:.0} us CPU"), Some(of.cpu <= most)),
            Target::Share { share, limit, each } => {
                let reached = of.rate * each / limit;
                (format!(">= {share} of {limit:.0}/s raw: {reached:.2}"), Some(reached >= share))
            }
        }
    }

    fn wanted(&self) -> String {
        match self.target {
            Target::None => String::new(),
            Target::Cpu(most) => format!("<= {most:.0} us CPU"),
            Target::Share { share, limit, .. } => format!(">= {share} of {limit:.0}/s raw"),
        }
    }
}

/// What has been measured so far.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<[String; 7]>,
    /// Durable commits a second that raw SQLite makes here.
    pub(crate) raw_commits: f64,
    /// Events a second that raw SQLite takes in batches here.
    pub(crate) raw_batches: f64,
    pub(crate) missed: usize,
}

impl Report {
    /// A path under load, or why it could not be measured.
    pub(crate) fn measured(&mut self, row: Row, measured: Result<Figures>) {
        let line = match measured {
            Ok(of) => {
                let (target, met) = row.judged(&of);
                let (cpu, rate) = (format!("{:.0}", of.cpu), format!("{:.0}", of.rate));
                let (p50, p99) = (format!("{:.2}", of.p50), format!("{:.2}", of.p99));
                [row.name, cpu, rate, p50, p99, target, self.mark(met)]
            }
            Err(error) => {
                let reason: String =
                    format!("skipped: {error:#}").replace(['|', '\n'], " ").chars().take(160).collect();
                let wanted = row.wanted();
                [row.name, String::new(), String::new(), String::new(), String::new(), wanted, reason]
            }
        };
        self.add(line);
    }

    /// A figure that is no request.
    pub(crate) fn figure(&mut self, name: &str, value: &str, target: &str, met: Option<bool>) {
        let mark = self.mark(met);
        self.add([name, value, "", "", "", target, &mark].map(str::to_owned));
    }

    fn mark(&mut self, met: Option<bool>) -> String {
        self.missed += usize::from(met == Some(false));
        match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        }
        .to_owned()
    }

    #[expect(clippy::print_stdout, reason = "a bench tells as it goes")]
    fn add(&mut self, line: [String; 7]) {
        println!("{}", row(&line));
        self.lines.push(line);
    }

    /// All of it as a table of Markdown.
    pub(crate) fn table(&self) -> String {
        let lines: String = self.lines.iter().map(|line| row(line) + "\n").collect();
        format!("{}{lines}", head())
    }
}

pub(crate) fn head() -> String {
    let names = ["path", "CPU us/request", "requests/s", "p50 ms", "p99 ms", "target", ""];
    format!("{}\n| --- | --: | --: | --: | --: | --- | --- |\n", row(&names.map(str::to_owned)))
}

fn row(line: &[String; 7]) -> String {
    format!("| {} |", line.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: Figures = Figures { cpu: 40.0, rate: 1_000.0, p50: 0.5, p99: 2.0 };

    #[test]
    fn targets_are_judged() {
        let mut report = Report::default();
        report.measured(Row::cpu("fast", 50.0), Ok(FIGURES));
        report.measured(Row::cpu("slow", 30.0), Ok(FIGURES));
        report.measured(Row::batch("batches", 150_000.0, 0.5), Ok(FIGURES));
        report.measured(Row::share("commits", 4_000.0, 0.5), Ok(FIGURES));
        report.measured(Row::new("gone"), Err(anyhow::anyhow!("no | route")));
        let table = report.table();
        assert!(table.contains("| fast | 40 | 1000 | 0.50 | 2.00 | <= 50 us CPU | met |"), "{table}");
        assert!(table.contains("| <= 30 us CPU | **missed** |"), "{table}");
        assert!(table.contains(">= 0.5 of 150000/s raw: 0.67 | met |"), "{table}");
        assert!(table.contains(">= 0.5 of 4000/s raw: 0.25 | **missed** |"), "{table}");
        assert!(table.contains("skipped: no   route") && report.missed == 2, "{table}");
    }
}
