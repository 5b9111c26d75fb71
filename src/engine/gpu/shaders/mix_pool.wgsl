// First step of pooling: each invocation folds up to CELLS cells of four channels into one partial value.
// In every mix kernel `arena` is the mix's own buffer and `weights` holds the activation maps.
struct Params {
  embedding: u32, partial: u32, groups: u32, cells: u32,
  chunks: u32, row: u32, exponent: f32, shares: u32,
}

// 0: mean, 1: max, 2: generalised mean, 3: mean by the shares of cells
override POOLING: u32 = 0u;
const FLOOR: f32 = 1e-6;
override CELLS: u32 = 64u;
override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.groups * p.chunks) { return; }
  let c = t % p.groups;
  let first = t / p.groups * CELLS;
  let end = min(first + CELLS, p.cells);
  var v = vec4<f32>(select(0.0, -3.4e38, POOLING == 1u));
  var largest = vec4<f32>(1.0);
  if (POOLING == 2u) { largest = max(arena[p.embedding + c], vec4<f32>(FLOOR)); }
  for (var i = first; i < end; i++) {
    let x = float_weights(i * p.groups + c);
    if (POOLING == 0u) { v += x; }
    if (POOLING == 3u) { v += x * arena[p.shares + i / 4u][i % 4u]; }
    if (POOLING == 1u) { v = max(v, x); }
    // The largest value, already in the embedding's place, is taken out so that no exponent overflows.
    if (POOLING == 2u) { v += pow(max(x, vec4<f32>(FLOOR)) / largest, vec4<f32>(p.exponent)); }
  }
  arena[p.partial + t] = v;
}
