//! `famlens compose`: boxed objects pasted on other photos, to measure maps where objects are small.

use std::fmt::Write;
use std::path::PathBuf;

use famlens::image::{Photo, Rect, encode_png, paste_object, scale};
use famlens::{Error, Result};

use crate::evaluate::{Data, Source};
use crate::files;
use crate::terminal::{say, shown_path};

/// Pixels of a composed picture: photos outdoors are seldom square.
const SIZE: (u32, u32) = (640, 480);

#[derive(clap::Args)]
pub struct Args {
    /// Folder whose sub-folders are the classes
    #[arg(long)]
    images: PathBuf,
    /// Boxes, as `famlens evaluate` takes them [default: boxes.tsv among the images]
    #[arg(long)]
    boxes: Option<PathBuf>,
    /// Classes whose photos are backgrounds [default: all that have no boxes, and photos without boxes of the others]
    #[arg(long, value_delimiter = ',')]
    backgrounds: Vec<String>,
    /// Pictures for each boxed photo
    #[arg(long, default_value_t = 4)]
    each: usize,
    /// Smallest and largest side of an object's box, as a share of the picture's side
    #[arg(long, value_delimiter = ',', num_args = 1, default_values_t = [0.1, 0.6])]
    sides: Vec<f64>,
    /// Which half of the classes and of the backgrounds to use, so that what is chosen on one half can be measured on
    /// the other
    #[arg(long, default_value = "both", value_parser = ["first", "second", "both"])]
    half: String,
    /// Seed of all random draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the pictures, boxes.tsv and sources.tsv
    #[arg(long)]
    out: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let (low, high) = match args.sides[..] {
        [low, high] if (0.02..=1.0).contains(&low) && (low..=1.0).contains(&high) => (low, high),
        _ => return Err(Error::argument("--sides", "give two shares within 0.02 and 1, the smaller one first")),
    };
    let boxes = args.boxes.as_deref();
    let data = Data::collect(&Source { images: &args.images, boxes, masks: None, classes: &[], seed: args.seed })?;
    let boxed: Vec<usize> = (0..data.items.len()).filter(|&item| data.items[item].boxes.len() == 1).collect();
    let of_half = |place: usize| match args.half.as_str() {
        "first" => place.is_multiple_of(2),
        "second" => !place.is_multiple_of(2),
        _ => true,
    };
    let has_boxes = |class: usize| boxed.iter().any(|&item| data.items[item].class == class);
    let named = |class: usize| args.backgrounds.contains(&data.classes[class]);
    let objects: Vec<usize> = (0..data.classes.len()).filter(|&class| has_boxes(class)).collect();
    let background = |item: &usize| {
        let item = &data.items[*item];
        item.boxes.is_empty() && if args.backgrounds.is_empty() { !has_boxes(item.class) } else { named(item.class) }
    };
    let backgrounds: Vec<usize> =
        (0..data.items.len()).filter(background).enumerate().filter(|(at, _)| of_half(*at)).map(|(_, i)| i).collect();
    if backgrounds.is_empty() {
        return Err(Error::argument("--backgrounds", "there is no photo without boxes for a background"));
    }
    let (mut table, mut sources) = (String::from("file\tx0\ty0\tx1\ty1\n"), String::from("file\tsource\n"));
    let mut count = 0;
    for &item in &boxed {
        let known = &data.items[item];
        if !objects.iter().position(|&class| class == known.class).is_some_and(of_half) {
            continue;
        }
        // By photo, so that one more photo changes no other picture.
        let mut random = fastrand::Rng::with_seed(args.seed ^ seed_of(&known.content));
        let photo = files::photo(&known.path)?;
        for at in 0..args.each {
            // The sides are spread evenly over the range, each a little off.
            let spread = (at as f64 + random.f64()) / args.each as f64;
            let side = low + (high - low) * spread;
            let behind = &data.items[backgrounds[random.usize(..backgrounds.len())]];
            let place = [random.f64(), random.f64()];
            let ground = ground(&files::photo(&behind.path)?)?;
            let (picture, bounds) = paste_object(&ground, &photo, &known.boxes[0], side, place)?;
            let name = format!("{}.{at}.png", known.name.replace(['/', '.'], "_"));
            let folder = args.out.join(&data.classes[known.class]);
            files::create_folder(&folder)?;
            files::write(&folder.join(&name), &encode_png(&picture)?)?;
            let path = format!("{}/{name}", data.classes[known.class]);
            let Rect { x0, y0, x1, y1 } = bounds;
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{path}\t{x0}\t{y0}\t{x1}\t{y1}");
            let _ = writeln!(sources, "{path}\t{}", known.name);
            count += 1;
        }
    }
    if count == 0 {
        return Err(Error::argument("--images", "no photo has exactly one box; each object is cut out by its box"));
    }
    files::write(&args.out.join("boxes.tsv"), table.as_bytes())?;
    files::write(&args.out.join("sources.tsv"), sources.as_bytes())?;
    say!("{count} pictures on {} backgrounds in {}", backgrounds.len(), shown_path(&args.out));
    Ok(())
}

/// A background at the size of all pictures.
fn ground(photo: &Photo) -> Result<Photo> {
    let whole = Rect::new(0.0, 0.0, photo.width().into(), photo.height().into());
    scale(photo, &whole, SIZE.0, SIZE.1)
}

/// From the first digits of a hash in hexadecimal.
fn seed_of(content: &str) -> u64 {
    content.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}
