//! Pascal VOC: one XML file a photo.

use roxmltree::{Document, Node};

use super::{Annotated, Object, rect};
use crate::error::{Error, Result};

/// Reads a Pascal VOC annotation. VOC counts pixels from 1 and its `xmax` and `ymax` belong to the box, so that
/// `xmin = 1, xmax = 5` is the five pixels from 0 to 5 here. A file that counts from 0 differs by one pixel.
///
/// # Errors
/// [`Error::Argument`] if the text is not well-formed XML or not an `<annotation>`, or a box is incomplete.
///
/// ```
/// let xml = "<annotation><filename>a.jpg</filename><size><width>9</width><height>8</height></size>
///   <object><name>cat</name><difficult>0</difficult>
///   <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>";
/// let read = famlens::metrics::boxes::read_voc(xml)?;
/// assert_eq!((read.file.as_str(), read.size), ("a.jpg", Some([9, 8])));
/// assert_eq!(read.objects[0].bounds.area(), 25.0);
/// # Ok::<(), famlens::Error>(())
/// ```
pub fn read_voc(xml: &str) -> Result<Annotated> {
    let invalid = |reason: String| Error::argument("VOC annotation", reason);
    let document = Document::parse(xml).map_err(|error| invalid(error.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name("annotation") {
        return Err(invalid(format!("its outer element is <{}> and not <annotation>", root.tag_name().name())));
    }
    let objects = root.children().filter(|node| node.has_tag_name("object")).map(|node| object(node).map_err(invalid));
    let side = |name: &str| child(root, "size").and_then(|size| number(size, name)).filter(|n| (1.0..1e9).contains(n));
    let size = side("width").zip(side("height")).map(|(w, h)| [w as u32, h as u32]);
    let file = text(root, "filename").unwrap_or_default();
    Ok(Annotated { file, size, objects: objects.collect::<Result<_>>()? })
}

fn object(node: Node<'_, '_>) -> Result<Object, String> {
    let label = text(node, "name").filter(|name| !name.is_empty());
    let who = label.as_deref().unwrap_or("without a name");
    let bndbox = child(node, "bndbox").ok_or_else(|| format!("the object {who} has no <bndbox>"))?;
    let side = |name: &str| number(bndbox, name).ok_or_else(|| format!("the box of {who} has no number <{name}>"));
    let bounds = rect([side("xmin")? - 1.0, side("ymin")? - 1.0, side("xmax")?, side("ymax")?])?;
    Ok(Object { label, bounds, difficult: number(node, "difficult") == Some(1.0) })
}

fn child<'a, 'b>(node: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn text(node: Node<'_, '_>, name: &str) -> Option<String> {
    child(node, name)?.text().map(|text| text.trim().to_owned())
}

fn number(node: Node<'_, '_>, name: &str) -> Option<f64> {
    text(node, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let message = |xml: &str| read_voc(xml).unwrap_err().to_string();
        assert!(message("<html/>").contains("<html>"));
        assert!(message("<annotation><object><name>cat</name></object></annotation>").contains("cat has no <bndbox>"));
        let incomplete = "<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>";
        assert!(message(incomplete).contains("<ymin>"), "{}", message(incomplete));
        // Entities are refused before they grow.
        assert!(read_voc("<!DOCTYPE a [<!ENTITY b \"c\">]><annotation>&b;</annotation>").is_err());
    }

    #[test]
    fn difficult_objects_are_marked_and_parts_are_not_objects() {
        let xml = "<annotation><object><name>dog</name><difficult>1</difficult><part><name>head</name><bndbox>\
                   <xmin>2</xmin><ymin>2</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part><bndbox><xmin>1.5</xmin>\
                   <ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>";
        let read = read_voc(xml).unwrap();
        assert_eq!((read.objects.len(), read.objects[0].difficult, read.objects[0].bounds.x0), (1, true, 0.5));
    }
}
