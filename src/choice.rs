//! What a user chooses by name: every value says what it is and where it comes from.
//!
//! [`crate::session::catalogue`] is made from these. The command line, `famlens.js` and the page offer what it lists.

use serde::Serialize;

/// A choice among named values, such as the form of the channel weights.
///
/// ```
/// use famlens::choice::Choice;
/// use famlens::fam::Form;
/// assert_eq!(Form::ALL[0].name(), "fam");
/// assert!(Form::Centred.sentence().ends_with('.'));
/// ```
pub trait Choice: Copy + PartialEq + 'static {
    /// What is chosen, as the option's name in JSON: `"form"`.
    const KIND: &'static str;
    /// Every value, the default first.
    const ALL: &'static [Self];

    /// The name in JSON and on the command line: lower case, words joined by hyphens.
    fn name(self) -> &'static str;
    /// The name shown to people, a few words.
    fn label(self) -> &'static str;
    /// What it is, in one sentence for people who know images but not this method.
    fn sentence(self) -> &'static str;
    /// Where it comes from: a paper with its equation where there is one, or `"famlens"`.
    fn source(self) -> &'static str;
    /// What to know before choosing it; empty if nothing.
    fn note(self) -> &'static str {
        ""
    }
    /// What it needs beside images, all of these; none for most.
    fn needs(self) -> &'static [Need] {
        &[]
    }
}

/// What a value of a choice needs beside images.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Two classes or more.
    Classes,
    /// Statistics of images in general, the model's or the user's own. What needs them looks at layers and an input of
    /// its own.
    Statistics,
    /// A mean embedding of images in general that came with the model.
    Mean,
    /// A matrix: from a `.npy` file, or learned from the images in play.
    Matrix,
    /// A `.safetensors` file with the weights of a head.
    Head,
}

/// The value of that name, or an error that lists the names.
///
/// # Errors
/// [`crate::Error::Argument`] named after the kind.
///
/// ```
/// use famlens::{choice, fam::Form};
/// assert_eq!(choice::parse::<Form>("centred")?, Form::Centred);
/// assert!(choice::parse::<Form>("center").is_err_and(|e| e.to_string().contains("centred")));
/// # Ok::<(), famlens::Error>(())
/// ```
pub fn parse<T: Choice>(name: &str) -> crate::Result<T> {
    T::ALL.iter().copied().find(|value| value.name() == name).ok_or_else(|| {
        let names: Vec<_> = T::ALL.iter().map(|value| value.name()).collect();
        crate::Error::argument(T::KIND, format!("{name:?} is not one of {}", names.join(", ")))
    })
}

/// One value of a choice, as the catalogue lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Described {
    /// [`Choice::name`].
    pub name: &'static str,
    /// [`Choice::label`].
    pub label: &'static str,
    /// [`Choice::sentence`].
    pub sentence: &'static str,
    /// [`Choice::source`].
    pub source: &'static str,
    /// [`Choice::note`].
    pub note: &'static str,
    /// [`Choice::needs`].
    pub needs: &'static [Need],
}

/// Every value of a choice.
pub fn describe<T: Choice>() -> Vec<Described> {
    let described = |v: T| Described {
        name: v.name(),
        label: v.label(),
        sentence: v.sentence(),
        source: v.source(),
        note: v.note(),
        needs: v.needs(),
    };
    T::ALL.iter().copied().map(described).collect()
}

/// Implements [`Choice`] for an enum from one table, and `Display`, `FromStr`, `Serialize` and `Deserialize` by the
/// values' names: `choice!(Form, "form", { Faithful: "fam", "label", "sentence", "source", "note"; .. });`. What a
/// value needs comes last: `"note", needs [Classes, Statistics];`
macro_rules! choice {
    ($type:ty, $kind:literal, { $($value:ident: $name:literal, $label:literal, $sentence:literal, $source:literal, $note:literal $(, needs [$($need:ident),+])?;)+ }) => {
        impl $crate::choice::Choice for $type {
            const KIND: &'static str = $kind;
            const ALL: &'static [Self] = &[$(Self::$value),+];
            fn name(self) -> &'static str {
                match self { $(Self::$value => $name),+ }
            }
            fn label(self) -> &'static str {
                match self { $(Self::$value => $label),+ }
            }
            fn sentence(self) -> &'static str {
                match self { $(Self::$value => $sentence),+ }
            }
            fn source(self) -> &'static str {
                match self { $(Self::$value => $source),+ }
            }
            fn note(self) -> &'static str {
                match self { $(Self::$value => $note),+ }
            }
            fn needs(self) -> &'static [$crate::choice::Need] {
                match self { $(Self::$value => &[$($($crate::choice::Need::$need),+)?]),+ }
            }
        }

        impl $type {
            /// The name in JSON and on the command line, as [`Choice::name`](crate::choice::Choice::name).
            pub fn name(self) -> &'static str {
                $crate::choice::Choice::name(self)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::choice::Choice::name(*self))
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::error::Error;
            fn from_str(name: &str) -> $crate::error::Result<Self> {
                $crate::choice::parse(name)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::choice::Choice::name(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                $crate::choice::parse(&name).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use choice;
