//! Answers as comma-separated values (RFC 4180).

use bytes::Bytes;
use facts::Row;
use http::{Request, Response, header};
use kernel::{Problem, context::Body};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::question::Answer;

/// What a formula begins with, in the wide forms too that some spreadsheets read alike.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
/// What ends a cell for one spreadsheet or another, whatever this file says.
const SEPARATORS: [char; 6] = ['"', ',', ';', '\t', '\r', '\n'];

/// A cell. Spreadsheets run what begins like a formula; an apostrophe makes it text.
fn cell(text: &str) -> String {
    let text = if text.trim_start().starts_with(FORMULA) || text.starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(SEPARATORS) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    cells.into_iter().collect::<Vec<_>>().join(",") + "\r\n"
}

/// The sheet of an answer.
pub(crate) fn of(answer: &Answer) -> String {
    match answer {
        Answer::Rows(rows) => of_rows(rows),
        Answer::Steps(steps) => {
            let head = ["step", "people", "of_first", "of_previous", "median_seconds"].map(str::to_owned);
            let steps = steps.iter().map(|it| {
                let median = it.median_seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
                let shares = [it.of_first.to_string(), it.of_previous.to_string()];
                line([cell(&it.name), it.people.to_string()].into_iter().chain(shares).chain([median]))
            });
            line(head) + &steps.collect::<String>()
        }
    }
}

fn of_rows(rows: &[Row]) -> String {
    let groups = rows.iter().map(|row| row.groups.len()).max().unwrap_or(0);
    let head = std::iter::once("bucket".to_owned()).chain((1..=groups).map(|group| format!("group_{group}")));
    let row = |row: &Row| {
        let group = |group: &Option<String>| match group {
            Some(text) => cell(text),
            None if row.other => "(other)".to_owned(),
            None => String::new(),
        };
        let bucket = row.bucket.map(|at| at.to_string()).unwrap_or_default();
        line(std::iter::once(bucket).chain(row.groups.iter().map(group)).chain([row.value.to_string()]))
    };
    line(head.chain(["value".to_owned()])) + &rows.iter().map(row).collect::<String>()
}

/// The answer to a request for a sheet.
pub(crate) fn response(name: &str, sheet: String) -> Result<Response<Body>, Problem> {
    Response::builder()
        .header(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\""))
        .body(sheet.into())
        .map_err(Problem::internal)
}

/// What is asked by the query of an address; a name that comes twice is refused.
pub(crate) fn query<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Problem> {
    let mut fields = Map::new();
    for (name, text) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        let number = text.parse::<u32>().map(Value::from);
        let value = number.unwrap_or_else(|_| Value::String(text.into_owned()));
        if fields.insert(name.to_string(), value).is_some() {
            return Err(Problem::invalid_field(format!("/{name}"), "given twice"));
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| Problem::invalid_field("", error.to_string()))
}

/// What is asked by a body.
pub(crate) fn body<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Problem> {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if media.split(';').next().unwrap_or_default().trim() != "application/json" {
        return Err(Problem::new(kernel::ProblemKind::Unsupported, "media_type_unsupported", "the body is not JSON")
            .hint("send Content-Type: application/json"));
    }
    serde_json::from_slice(request.body()).map_err(|error| Problem::invalid_field("", error.to_string()))
}

/// A part of the path, counted from the first.
pub(crate) fn in_path<T: std::str::FromStr>(
    request: &Request<Bytes>,
    part: usize,
    what: &'static str,
) -> Result<T, Problem> {
    let text = request.uri().path().split('/').nth(part + 1).unwrap_or_default();
    text.parse().map_err(|_| Problem::not_found(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_whatever_they_begin_with() {
        let group = |text: &str| Some(text.to_owned());
        let groups = vec![group("=HYPERLINK(\"http://evil.example\",\"x\")"), group("a,b"), None];
        let row = Row { bucket: None, groups, other: false, value: -2.5 };
        let sheet = of(&Answer::Rows(vec![row]));
        let expected = "bucket,group_1,group_2,group_3,value\r\n\
                        ,\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\",\"a,b\",,-2.5\r\n";
        assert_eq!(sheet, expected);
        for begins in ["+1", "-1", "@a", " =1", "＝1"] {
            assert!(cell(begins).starts_with('\''), "{begins}");
        }
        assert_eq!(cell("\tx"), "\"'\tx\"");
        assert_eq!(cell("a;=1"), "\"a;=1\"", "where a semicolon separates, it begins no cell");
    }
}
