//! One map from the maps of several layers.

use crate::choice::choice;

/// How the maps of several target layers become one: each is normalised to 0..1 and upsampled to the finest grid first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Fusion {
    /// The mean of the maps.
    #[default]
    Mean,
    /// The geometric mean of the maps: strong where all are.
    Product,
    /// The largest of the maps: strong where one is.
    Max,
}

choice!(Fusion, "fusion", {
    Mean: "mean", "Mean",
        "The maps of the layers are averaged.",
        "famlens", "";
    Product: "product", "Product",
        "Strong only where every layer's map is strong (geometric mean).",
        "famlens", "";
    Max: "max", "Maximum",
        "Strong where any layer's map is strong.",
        "LayerCAM (IEEE TIP 30, 2021) fuses layers so", "";
});
