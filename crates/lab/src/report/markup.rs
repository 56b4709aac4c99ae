//! Elements of HTML and SVG as values. Text and attributes can only be put in
//! through functions that escape them, and every element is closed, so that a
//! page made from these is well-formed and no data in it can become markup.

use std::fmt::Display;
use std::fmt::Write as _;

use super::notation;

/// An element with its attributes and what stands inside.
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

enum Node {
    Element(Element),
    Text(String),
    /// A style sheet, the only thing that is written as it is; `'static`, so that
    /// it cannot be made from data.
    Style(&'static str),
}

impl Element {
    /// An empty element.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new() }
    }

    /// A `style` element that holds `sheet`.
    pub(super) fn style(sheet: &'static str) -> Self {
        Self { name: "style", attributes: Vec::new(), children: vec![Node::Style(sheet)] }
    }

    /// The element with one more attribute.
    pub(super) fn with(mut self, attribute: &'static str, value: impl Display) -> Self {
        self.attributes.push((attribute, value.to_string()));
        self
    }

    /// The element in a class.
    pub(super) fn class(self, class: &'static str) -> Self {
        self.with("class", class)
    }

    /// The element with text at its end.
    pub(super) fn text(mut self, text: impl AsRef<str>) -> Self {
        self.children.push(Node::Text(text.as_ref().to_owned()));
        self
    }

    /// The element with another at its end.
    pub(super) fn child(mut self, child: Element) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// The element with others at its end.
    pub(super) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Whether it is an element of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// The element as it stands in a file.
    pub(super) fn markup(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        for (attribute, value) in &self.attributes {
            let _ = write!(out, " {attribute}=\"{}\"", escaped(value));
        }
        if is_void(self.name) {
            out.push_str("/>");
        } else {
            out.push('>');
            self.children.iter().for_each(|child| child.write(out));
            let _ = write!(out, "</{}>", self.name);
        }
        if is_block(self.name) {
            out.push('\n');
        }
    }
}

impl Node {
    fn write(&self, out: &mut String) {
        match self {
            Node::Element(element) => element.write(out),
            Node::Text(text) => out.push_str(&escaped(text)),
            Node::Style(sheet) => out.push_str(sheet),
        }
    }
}

/// A character of text or of a quoted attribute, in five cases as an entity.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in notation::visible(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn is_void(name: &str) -> bool {
    matches!(name, "meta" | "line" | "rect" | "circle" | "path")
}

/// Elements after which a line end changes nothing that is seen.
fn is_block(name: &str) -> bool {
    matches!(
        name,
        "meta"
            | "title"
            | "style"
            | "head"
            | "body"
            | "header"
            | "main"
            | "nav"
            | "section"
            | "figure"
            | "div"
            | "table"
            | "thead"
            | "tbody"
            | "tr"
            | "caption"
            | "p"
            | "ul"
            | "ol"
            | "li"
            | "dl"
            | "h1"
            | "h2"
            | "h3"
            | "details"
            | "svg"
            | "g"
            | "footer"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped_and_elements_closed() {
        let element = Element::new("td").with("title", "\"a\" & 'b'").text("<script>alert(1)</script>");
        insta::assert_snapshot!(element.markup(), @r#"<td title="&quot;a&quot; &amp; &#39;b&#39;">&lt;script&gt;alert(1)&lt;/script&gt;</td>"#);
    }

    #[test]
    fn an_element_that_holds_nothing_is_closed_as_its_kind_asks() {
        assert_eq!(Element::new("td").markup(), "<td></td>");
        assert_eq!(Element::new("rect").with("x", 1).markup(), "<rect x=\"1\"/>");
    }
}
