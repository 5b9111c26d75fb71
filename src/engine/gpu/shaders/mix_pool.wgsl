// First step of pooling: each invocation folds up to POOL_CELLS cells of four channels into one partial value.
// In every mix kernel `arena` is the mix's own buffer and `weights` holds the activation maps.
override POOLING: u32 = POOLING_MEAN;

const FLOOR: f32 = 1e-6;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.groups * p.chunks) { return; }
  let c = t % p.groups;
  let first = t / p.groups * POOL_CELLS;
  let end = min(first + POOL_CELLS, p.cells);
  var v = vec4<f32>(select(0.0, -3.4e38, POOLING == POOLING_MAX));
  var largest = vec4<f32>(1.0);
  if (POOLING == POOLING_POWER) { largest = max(arena[p.embedding + c], vec4<f32>(FLOOR)); }
  for (var i = first; i < end; i++) {
    let x = float_weights(i * p.groups + c);
    if (POOLING == POOLING_MEAN) { v += x; }
    if (POOLING == POOLING_SHARES) { v += x * arena[p.shares + i / 4u][i % 4u]; }
    if (POOLING == POOLING_MAX) { v = max(v, x); }
    // The largest value, already in the embedding's place, is taken out so that no exponent overflows.
    if (POOLING == POOLING_POWER) { v += pow(max(x, vec4<f32>(FLOOR)) / largest, vec4<f32>(p.exponent)); }
  }
  arena[p.partial + t] = v;
}
