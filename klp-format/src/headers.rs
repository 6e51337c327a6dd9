//! What `kernel_types!` asks of the kernel's headers, and what the command answers.
//!
//! A request is a text that the macro sends to the command; the answer is a file that the command leaves in the cache.
//! Both consist of lines with a tab between their columns.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The argument that the command for types takes in place of a module's name: the request follows on its stdin.
pub const ARGUMENT: &str = "--headers";

/// The directory of the cache with all answers: a directory for each kernel, `RELEASE-HASH`, and in it one for each
/// request, of the name [`key`].
pub const DIRECTORY: &str = "headers";

/// The file of an answer in its directory of the cache.
pub const ANSWER: &str = "answer";

/// The file beside it with the types of what was asked for, as BTF: those of [`variable`]s.
pub const BTF: &str = "btf";

/// The variable whose type is that of an item: the value of a constant, or a pointer to a function.
#[must_use]
pub fn variable(item: usize) -> String {
    format!("klp_type_{item}")
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The headers, as `#include` has them between angle brackets.
    pub headers: Vec<String>,
    /// The items that they have.
    pub items: Vec<Item>,
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A function, whose prototype is the header's.
    Function {
        /// Its name.
        name: String,
    },
    /// An expression with parameters, of which a function is made.
    Expression {
        /// The name that the function has in Rust.
        name: String,
        /// The type of its result in C.
        returns: String,
        /// The expression.
        expression: String,
        /// The declarations of its parameters in C.
        parameters: Vec<String>,
    },
    /// An expression that is an integer constant.
    Constant {
        /// The expression.
        expression: String,
    },
    /// Whether a condition of the preprocessor holds behind the headers: the answer is a [`Line::Constant`] of 1 or 0.
    Test {
        /// What follows `#if`.
        condition: String,
    },
    /// A name that is not where it was looked for: the answer is a [`Line::Fault`] that says what has it, or nothing.
    Lost {
        /// The name.
        name: String,
    },
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A header is missing, or can't be compiled.
    Header {
        /// Its number in the request.
        header: usize,
        /// Why.
        why: String,
    },
    /// An item can't be had.
    Fault {
        /// Its number in the request; `None` for a fault of the headers themselves.
        item: Option<usize>,
        /// Why.
        why: String,
    },
    /// The function that calls an inline function or a macro.
    Function {
        /// The item's number in the request.
        item: usize,
        /// The function's symbol.
        symbol: String,
        /// The function in C.
        text: String,
    },
    /// The value of a constant.
    Constant {
        /// The item's number in the request.
        item: usize,
        /// The value, extended to 64 bits by the rules of C.
        value: u64,
    },
}

/// The text of a request.
#[must_use]
pub fn write_request(request: &Request) -> String {
    let headers = request.headers.iter().map(|header| line(&["header", header]));
    let items = request.items.iter().map(|item| match item {
        Item::Function { name } => line(&["function", name]),
        Item::Expression { name, returns, expression, parameters } => {
            let mut columns = alloc::vec!["expression", &**name, returns, expression];
            columns.extend(parameters.iter().map(|parameter| &**parameter));
            line(&columns)
        }
        Item::Constant { expression } => line(&["constant", expression]),
        Item::Test { condition } => line(&["test", condition]),
        Item::Lost { name } => line(&["lost", name]),
    });
    headers.chain(items).collect()
}

/// The name of a request's directory: a hash of its text (FNV-1a, 128 bits).
#[must_use]
pub fn key(request: &str) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = request.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

/// Reads a request; `None` where the text is none.
#[must_use]
pub fn read_request(text: &str) -> Option<Request> {
    let mut request = Request::default();
    for line in text.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        match columns[..] {
            ["header", header] => request.headers.push(header.to_owned()),
            ["function", name] => request.items.push(Item::Function { name: name.to_owned() }),
            ["expression", name, returns, expression, ref parameters @ ..] => {
                request.items.push(Item::Expression {
                    name: name.to_owned(),
                    returns: returns.to_owned(),
                    expression: expression.to_owned(),
                    parameters: parameters.iter().map(|&parameter| parameter.to_owned()).collect(),
                });
            }
            ["constant", expression] => {
                request.items.push(Item::Constant { expression: expression.to_owned() });
            }
            ["test", condition] => request.items.push(Item::Test { condition: condition.to_owned() }),
            ["lost", name] => request.items.push(Item::Lost { name: name.to_owned() }),
            _ => return None,
        }
    }
    Some(request)
}

/// The text of an answer.
#[must_use]
pub fn write_answer(lines: &[Line]) -> String {
    let text = |answer: &Line| match answer {
        Line::Header { header, why } => line(&["bad_header", &format!("{header}"), why]),
        Line::Fault { item, why } => {
            let item = item.map_or_else(|| "-".to_owned(), |item| format!("{item}"));
            line(&["fault", &item, why])
        }
        Line::Function { item, symbol, text } => line(&["function", &format!("{item}"), symbol, text]),
        Line::Constant { item, value } => line(&["constant", &format!("{item}"), &format!("{value}")]),
    };
    lines.iter().map(text).collect()
}

/// Reads an answer; `None` where the text is none.
#[must_use]
pub fn read_answer(text: &str) -> Option<Vec<Line>> {
    let read = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        Some(match columns[..] {
            ["bad_header", header, why] => Line::Header { header: header.parse().ok()?, why: why.to_owned() },
            ["fault", "-", why] => Line::Fault { item: None, why: why.to_owned() },
            ["fault", item, why] => Line::Fault { item: Some(item.parse().ok()?), why: why.to_owned() },
            ["function", item, symbol, text] => {
                Line::Function { item: item.parse().ok()?, symbol: symbol.to_owned(), text: text.to_owned() }
            }
            ["constant", item, value] => {
                Line::Constant { item: item.parse().ok()?, value: value.parse().ok()? }
            }
            _ => return None,
        })
    };
    text.lines().map(read).collect()
}

/// A line of these columns, without control characters in them.
fn line(columns: &[&str]) -> String {
    let mut text = String::new();
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            text.push('\t');
        }
        text.extend(column.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let request = Request {
            headers: vec!["net/sock.h".to_owned()],
            items: vec![
                Item::Function { name: "sock_put".to_owned() },
                Item::Expression {
                    name: "first".to_owned(),
                    returns: "int".to_owned(),
                    expression: "list_empty(head)".to_owned(),
                    parameters: vec!["const struct list_head *head".to_owned(), "int n".to_owned()],
                },
                Item::Constant { expression: "5 * HZ".to_owned() },
                Item::Test { condition: "defined(HZ)".to_owned() },
                Item::Lost { name: "sock_put".to_owned() },
            ],
        };
        assert_eq!(read_request(&write_request(&request)), Some(request));
        assert_eq!(read_request("header\n"), None);

        let answer = vec![
            Line::Header { header: 1, why: "none".to_owned() },
            Line::Fault { item: None, why: "bad".to_owned() },
            Line::Fault { item: Some(3), why: "worse".to_owned() },
            Line::Function { item: 0, symbol: "s".to_owned(), text: "int s(void) { return 1; }".to_owned() },
            Line::Constant { item: 2, value: u64::MAX },
        ];
        assert_eq!(read_answer(&write_answer(&answer)), Some(answer));
        assert_eq!(read_answer("constant\t1\tx\n"), None);
    }

    #[test]
    fn keys_differ() {
        assert_eq!(key(""), "6c62272e07bb014262b821756295c58d");
        assert_ne!(key("header\ta\n"), key("header\tb\n"));
    }

    #[test]
    fn an_item_is_one_line() {
        let request = Request {
            items: vec![Item::Constant { expression: "1 +\n\t1".to_owned() }],
            ..Request::default()
        };
        assert_eq!(write_request(&request), "constant\t1 +  1\n");
    }
}
