// The sum of up to POOL_CELLS cells, and of those that are not on the border ring, of four channels: one invocation each.
// cells_pooled.wgsl adds these. In every cells kernel `arena` is the readout's own buffer and `weights` holds the activation
// maps of one layer.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let c = t % p.groups;
  let first = t / p.groups * POOL_CELLS;
  let end = min(first + POOL_CELLS, p.cells);
  var all = vec4<f32>(0.0);
  var inner = vec4<f32>(0.0);
  for (var i = first; i < end; i++) {
    let v = float_weights(i * p.groups + c);
    let x = i % p.width;
    let y = i / p.width;
    all += v;
    if (y > 0u && x > 0u && y + 1u < p.height && x + 1u < p.width) { inner += v; }
  }
  arena[p.partial + 2u * t] = all;
  arena[p.partial + 2u * t + 1u] = inner;
}
