//! A Rust file as tokens with their lines, without comments, its tests kept apart.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// An identifier, a mark (`::` is one), a bracket, or `"` for any literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// One file.
pub struct Source {
    /// From the repository's root.
    pub path: String,
    /// Outside tests.
    pub code: Vec<Token>,
    /// Inside `#[cfg(test)]` and `#[test]`.
    pub tests: Vec<Token>,
    /// Modules in files of their own that are there only for tests.
    pub test_modules: Vec<String>,
}

impl Source {
    /// # Panics
    /// If `text` is not Rust.
    pub fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: is not Rust: {error}"));
        let mut source = Self { path: path.to_owned(), code: Vec::new(), tests: Vec::new(), test_modules: Vec::new() };
        source.sort(stream);
        join_colons(&mut source.code);
        join_colons(&mut source.tests);
        source
    }

    pub fn read(root: &Path, path: &str) -> Self {
        let text = std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::new(path, &text)
    }

    /// Sorts the items of a file, a module or an `impl` into code and tests.
    fn sort(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            if is_test_attribute(&trees[at..]) {
                let end = at + item_length(&trees[at..]);
                let item = &trees[at..end];
                if let [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(_)] = item
                    && word == "mod"
                {
                    self.test_modules.push(name.to_string());
                }
                flatten(item.iter().cloned(), &mut self.tests);
                at = end;
                continue;
            }
            if let TokenTree::Group(group) = &trees[at] {
                let (open, close) = brackets(group.delimiter());
                self.code.push(Token { text: open.to_owned(), line: group.span_open().start().line });
                self.sort(group.stream());
                self.code.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            } else {
                flatten([trees[at].clone()], &mut self.code);
            }
            at += 1;
        }
    }

    /// Every path outside tests that begins with a name, `use` trees written out: `std::time::Instant`.
    pub fn paths(&self) -> Vec<(String, usize)> {
        paths(&self.code)
    }

    /// Makes all of it a test.
    pub fn into_test(mut self) -> Self {
        self.tests.append(&mut self.code);
        self
    }
}

/// `#[cfg(test)]` (also within `all`) or `#[test]`, `#[tokio::test]`.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = trees else { return false };
    if hash.as_char() != '#' || group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let mut tokens = Vec::new();
    flatten(group.stream(), &mut tokens);
    let words: Vec<&str> = tokens.iter().map(|t| t.text.as_str()).collect();
    match words.as_slice() {
        ["cfg", "(", rest @ ..] => rest.contains(&"test") && !rest.contains(&"not"),
        [.., "test"] => true,
        ["tokio", ":", ":", "test", ..] => true,
        _ => false,
    }
}

/// Attributes and what they stand on, up to its braces or semicolon.
fn item_length(trees: &[TokenTree]) -> usize {
    for (i, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return i + 1,
            TokenTree::Punct(mark) if mark.as_char() == ';' => return i + 1,
            _ => {}
        }
    }
    trees.len()
}

fn flatten(trees: impl IntoIterator<Item = TokenTree>, into: &mut Vec<Token>) {
    for tree in trees {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                into.push(Token { text: open.to_owned(), line });
                flatten(group.stream(), into);
                into.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
            TokenTree::Ident(word) => into.push(Token { text: word.to_string(), line }),
            TokenTree::Punct(mark) => into.push(Token { text: mark.as_char().to_string(), line }),
            TokenTree::Literal(_) => into.push(Token { text: "\"".to_owned(), line }),
        }
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

fn join_colons(tokens: &mut Vec<Token>) {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens.drain(..) {
        match joined.last_mut() {
            Some(last) if token.text == ":" && last.text == ":" => last.text.push(':'),
            _ => joined.push(token),
        }
    }
    *tokens = joined;
}

/// Every path in `tokens`, `use` trees written out.
pub fn paths(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let after_path = at > 0 && matches!(tokens[at - 1].text.as_str(), "::" | ".");
        let precise_capture = tokens.get(at + 1).is_some_and(|next| next.text == "<");
        if tokens[at].text == "use" && !after_path && !precise_capture {
            at += 1;
            at += use_tree(&tokens[at..], "", &mut found);
        } else if is_word(&tokens[at]) && !after_path {
            let mut path = tokens[at].text.clone();
            let line = tokens[at].line;
            while at + 2 < tokens.len() && tokens[at + 1].text == "::" && is_word(&tokens[at + 2]) {
                path = format!("{path}::{}", tokens[at + 2].text);
                at += 2;
            }
            found.push((path, line));
            at += 1;
        } else {
            at += 1;
        }
    }
    found
}

/// Writes out one use tree; returns how many tokens it took.
fn use_tree(tokens: &[Token], prefix: &str, found: &mut Vec<(String, usize)>) -> usize {
    let mut path = prefix.to_owned();
    let mut at = 0;
    let line = tokens.first().map_or(0, |t| t.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|t| t.text != "}") {
                    at += use_tree(&tokens[at..], &path, found);
                    if tokens.get(at).is_some_and(|t| t.text == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => {
                at += 2;
                break;
            }
            "," | ";" | "}" => break,
            word => {
                path = if path.is_empty() { word.to_owned() } else { format!("{path}::{word}") };
                at += 1;
            }
        }
    }
    if !path.is_empty() {
        found.push((path, line));
    }
    at.max(1)
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
