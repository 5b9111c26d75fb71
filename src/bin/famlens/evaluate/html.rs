//! The report as one HTML file that needs nothing else: tables, plots as SVG, and the best and worst maps as pictures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use famlens::image::{Photo, Rect, scale};
use famlens::metrics::{MEASURES, Paired};
use famlens::overlay::{Style, compose};
use famlens::{Error, Result};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plan::Planner;
use super::report::{Report, Table, label, percent, title};
use super::store::Store;
use crate::files;

/// One picture of the contact sheet.
pub struct Shot {
    variant: String,
    image: String,
    iou: f64,
    /// As a `data:` address.
    picture: String,
}

/// Pictures of the highest and of the lowest IoU for each variant.
const SHOTS: usize = 6;
const SHOT_HEIGHT: u32 = 150;

/// The best and the worst maps of each variant under the first setting, the photo's boxes drawn in.
pub fn contact_sheet(plan: &Planner<'_>, store: &Store) -> Result<Vec<(Vec<Shot>, Vec<Shot>)>> {
    let mut sheet = Vec::new();
    for (variant, name) in plan.variant_names().enumerate() {
        let mut scored: Vec<(f64, usize)> = Vec::new();
        for item in 0..plan.data.items.len() {
            let row = plan.entry(item, variant, store).and_then(|(_, entry)| entry.rows.first());
            scored.extend(row.and_then(|row| row.values.get("iou")).map(|&iou| (iou, item)));
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let half = SHOTS.min(scored.len() / 2);
        let shots = |chosen: &[(f64, usize)]| -> Result<Vec<Shot>> {
            let shot = |&(iou, item): &(f64, usize)| shot(plan, store, item, variant, name, iou);
            chosen.iter().filter_map(|chosen| shot(chosen).transpose()).collect()
        };
        sheet.push((shots(&scored[..half])?, shots(&scored[scored.len() - half..])?));
    }
    Ok(sheet)
}

fn shot(plan: &Planner<'_>, store: &Store, item: usize, variant: usize, name: &str, iou: f64) -> Result<Option<Shot>> {
    let known = &plan.data.items[item];
    let (Some((setting, entry)), Ok(photo)) = (plan.entry(item, variant, store), files::photo(&known.path)) else {
        return Ok(None);
    };
    let Some(map) = plan.map(setting, photo.size(), entry)? else { return Ok(None) };
    let painted = outline(compose(&photo, &map.view()?, &Style::default())?, &known.boxes)?;
    let (w, h) = painted.size();
    let width = (f64::from(w) * f64::from(SHOT_HEIGHT) / f64::from(h)).round().clamp(1.0, 4096.0) as u32;
    let small = scale(&painted, &Rect::new(0.0, 0.0, f64::from(w), f64::from(h)), width, SHOT_HEIGHT)?;
    let mut jpeg = Vec::new();
    let encoded = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 80).encode(
        small.rgb(),
        small.width(),
        small.height(),
        image::ExtendedColorType::Rgb8,
    );
    encoded.map_err(|e| Error::image(&known.name, e.to_string()))?;
    let picture = format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg));
    Ok(Some(Shot { variant: name.to_owned(), image: known.name.clone(), iou, picture }))
}

/// White edges, a hundredth of the height thick.
fn outline(photo: Photo, boxes: &[Rect]) -> Result<Photo> {
    let (width, height) = photo.size();
    let mut rgb = photo.into_rgb();
    let thick = (f64::from(height) / 100.0).max(1.0);
    for (at, pixel) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (f64::from(at as u32 % width) + 0.5, f64::from(at as u32 / width) + 0.5);
        let inside = |b: &Rect, by: f64| Rect::new(b.x0 + by, b.y0 + by, b.x1 - by, b.y1 - by).contains(x, y);
        if boxes.iter().any(|b| inside(b, 0.0) && !inside(b, thick)) {
            *pixel = [255; 3];
        }
    }
    Photo::from_rgb(width, height, rgb)
}

const CSS: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1a1a1a;background:#fff}\
code{background:#f2f2f2;padding:.1em .3em;overflow-wrap:anywhere}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4;white-space:nowrap}th:first-child,td:first-child{text-align:left}\
small{color:#666}.scroll{overflow-x:auto}.shots{display:flex;flex-wrap:wrap;gap:.5rem}.shots figure{margin:0}figcaption{font-size:.8rem;color:#555}\
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#1a1a1a}h3{margin-bottom:.3rem}";

pub fn page(report: &Report, sheet: &[(Vec<Shot>, Vec<Shot>)]) -> String {
    let tables = report.tables();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "famlens evaluate" }
                style { (PreEscaped(CSS)) }
            }
            body {
                h1 { "famlens evaluate" }
                p { code { (report.command) } }
                @for line in &report.about { p { (line) } }
                @for table in &tables {
                    h2 { (table.name) " (" (table.setting) ")" }
                    (means(table))
                    @for measure in &table.measures { (plot(table, measure)) }
                }
                (differences(report))
                @if sheet.iter().any(|(best, _)| !best.is_empty()) { h2 { "Best and worst maps, by IoU" } }
                @for (best, worst) in sheet {
                    @if let Some(first) = best.first() { h3 { (first.variant) } }
                    (shots("best", best)) (shots("worst", worst))
                }
                h2 { "What the figures mean" }
                table { tbody { @for m in MEASURES.iter().filter(|m| tables.iter().any(|t| t.measures.contains(&m.name))) {
                    tr { td { (m.label) } td style="text-align:left;white-space:normal" { (m.sentence) " " small { (m.source) } } }
                } } }
                @if !report.skipped.is_empty() {
                    h2 { "Skipped" }
                    ul { @for reason in &report.skipped { li { (reason) } } }
                }
                p { small { (format!("{:.1} s, {} rows", report.seconds, report.rows.len())) } }
            }
        }
    };
    page.into_string()
}

fn means(table: &Table<'_>) -> Markup {
    html! {
        div class="scroll" { table {
            thead { tr { th {} @for name in &table.measures { th { (label(name)) } } th { "n" } } }
            tbody { @for line in &table.lines { tr {
                td { (title(line)) }
                @for name in &table.measures { td { @if let Some(interval) = line.values.get(*name) { (percent(interval)) } } }
                td { (line.values.values().map(|interval| interval.n).max().unwrap_or(0)) }
            } } }
        } }
    }
}

/// Means as points and intervals as lines, one row a variant.
fn plot(table: &Table<'_>, measure: &str) -> Markup {
    const LEFT: f64 = 260.0;
    const WIDTH: f64 = 480.0;
    const ROW: f64 = 22.0;
    let lines: Vec<_> = table
        .lines
        .iter()
        .filter(|l| l.size.is_none())
        .filter_map(|l| Some((title(l), *l.values.get(measure)?)))
        .collect();
    if lines.len() < 2 {
        return html! {};
    }
    let low = lines.iter().map(|(_, i)| i.low).fold(f64::INFINITY, f64::min).min(0.0);
    let x = |value: f64| LEFT + (value - low) / (1.0 - low).max(1e-9) * WIDTH;
    let (height, right) = (ROW * lines.len() as f64 + 30.0, LEFT + WIDTH);
    let ticks = [low, 0.0, 0.25, 0.5, 0.75, 1.0];
    html! {
        h3 { (label(measure)) }
        svg viewBox=(format!("0 0 {} {height}", right + 30.0)) width=(right + 30.0) role="img" aria-label=(label(measure)) {
            @for tick in ticks {
                line x1=(x(tick)) x2=(x(tick)) y1="0" y2=(height - 24.0) stroke="#ddd" {}
                text x=(x(tick)) y=(height - 8.0) text-anchor="middle" { (format!("{:.0} %", tick * 100.0)) }
            }
            @for (at, (name, interval)) in lines.iter().enumerate() {
                @let y = ROW * (at as f64 + 0.5);
                text x="0" y=(y + 4.0) { (name) }
                line x1=(x(interval.low)) x2=(x(interval.high)) y1=(y) y2=(y) stroke="#2563a8" stroke-width="3" {}
                circle cx=(x(interval.mean)) cy=(y) r="5" fill="#2563a8" { title { (percent(interval)) } }
            }
        }
    }
}

fn differences(report: &Report) -> Markup {
    let cell = |paired: &Paired| {
        let d = paired.difference;
        // An interval without 0 tells the two apart.
        let differs = d.low > 0.0 || d.high < 0.0;
        let text = percent(&d);
        html! { @if differs { b { (text) } } @else { (text) } }
    };
    html! {
        @if !report.summary.differences.is_empty() {
            h2 { "Paired differences" }
            p { "Each variant less the first of its table, on the same images, in points; bold where the interval excludes 0." }
        }
        @for d in report.summary.differences.iter().filter(|d| !d.values.is_empty()) {
            h3 { (d.variant) " less " (d.baseline) ": " (d.table) " (" (d.setting) ")" }
            div class="scroll" { table {
                thead { tr { th {} @for name in d.values.keys() { th { (label(name)) } } } }
                tbody { tr { td { "difference" } @for paired in d.values.values() { td { (cell(paired)) } } } }
            } }
        }
    }
}

fn shots(what: &str, shots: &[Shot]) -> Markup {
    html! {
        @if !shots.is_empty() { div class="shots" { @for shot in shots { figure {
            img src=(shot.picture) alt=(format!("{}: map of {}", shot.variant, shot.image));
            figcaption { (what) ": " (shot.image) (format!(", {:.0} %", shot.iou * 100.0)) }
        } } } }
    }
}
