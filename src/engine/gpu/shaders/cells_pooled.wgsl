// The mean cell and the mean cell of the border ring of four channels, from the partial sums of cells_pool.wgsl: one
// invocation each.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x + id.y * p.row;
  if (c >= p.groups) { return; }
  var all = vec4<f32>(0.0);
  var inner = vec4<f32>(0.0);
  for (var i = 0u; i < p.chunks; i++) {
    all += arena[p.partial + 2u * (i * p.groups + c)];
    inner += arena[p.partial + 2u * (i * p.groups + c) + 1u];
  }
  arena[p.mean + c] = all / p.cells;
  arena[p.ring + c] = (all - inner) / p.ring_cells;
}
