//! Printing answers: JSON as the server wrote it, or columns for people and for shells.

use clap::ValueEnum;
use serde_json::Value;

use super::{Done, Problem};
use crate::cli;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// JSON, as `json`.
    Jsonc,
    /// Nothing.
    None,
    /// Columns with a head.
    Table,
    /// The values of the columns, tabs between them.
    Tsv,
}

/// A column: its head, and where its value stands in an item (a JSON pointer).
pub(super) type Column = (&'static str, &'static str);

/// Prints an answer.
pub(super) fn print(value: &Value, format: Format, columns: &[Column]) -> Done {
    let text = match format {
        Format::None => return Ok(()),
        Format::Json | Format::Jsonc => {
            serde_json::to_string_pretty(value).map_err(|e| Problem::new(e.to_string()))?
        }
        Format::Table => table(value, columns),
        Format::Tsv => lines(value, columns),
    };
    if !text.is_empty() {
        cli::print(&text)?;
    }
    Ok(())
}

/// Prints a list.
pub(super) fn print_list(items: Vec<Value>, format: Format, columns: &[Column]) -> Done {
    print(&Value::Array(items), format, columns)
}

fn rows(value: &Value, columns: &[Column]) -> Vec<Vec<String>> {
    let row = |item: &Value| -> Vec<String> {
        if !item.is_object() {
            return vec![cell(item)];
        }
        columns
            .iter()
            .map(|(_, pointer)| item.pointer(pointer).map(cell).unwrap_or_default())
            .collect()
    };
    match value {
        Value::Array(items) => items.iter().map(row).collect(),
        Value::Null => Vec::new(),
        other => vec![row(other)],
    }
}

/// A value in one line without tabs and control characters.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn lines(value: &Value, columns: &[Column]) -> String {
    let lines: Vec<String> = rows(value, columns).iter().map(|row| row.join("\t")).collect();
    lines.join("\n")
}

fn table(value: &Value, columns: &[Column]) -> String {
    let rows = rows(value, columns);
    if rows.is_empty() {
        return String::new();
    }
    let heads: Vec<String> = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let widths: Vec<usize> = (0..heads.len())
        .map(|place| {
            std::iter::once(&heads)
                .chain(&rows)
                .filter_map(|row| row.get(place))
                .map(|text| text.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let line = |row: &Vec<String>| -> String {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!("{text:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut all = vec![line(&heads), line(&rule)];
    all.extend(rows.iter().map(line));
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[("Name", "/name"), ("Verified", "/properties/isVerified")];

    fn sample() -> Value {
        json!([
            {"name": "root", "properties": {"isVerified": true}},
            {"name": "a-longer-name", "properties": {}},
        ])
    }

    #[test]
    fn tables_have_heads_and_aligned_columns() {
        assert_eq!(
            table(&sample(), COLUMNS),
            "Name           Verified\n-------------  --------\nroot           true\na-longer-name"
        );
        assert_eq!(table(&json!([]), COLUMNS), "");
    }

    #[test]
    fn tsv_has_values_only() {
        assert_eq!(lines(&sample(), COLUMNS), "root\ttrue\na-longer-name\t");
        assert_eq!(lines(&json!("key\tx"), COLUMNS), "key x");
    }

    #[test]
    fn a_single_item_is_a_table_of_one_row() {
        let one = json!({"name": "root", "properties": {"isVerified": false}});
        assert_eq!(
            table(&one, COLUMNS),
            "Name  Verified\n----  --------\nroot  false"
        );
    }
}
