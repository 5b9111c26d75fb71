// r, the root of the mean energy of a cell, and 1 / r or 0: one workgroup.

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = vec4<f32>(0.0);
  for (var t = lane; t < p.total; t += 64u) { sum += arena[p.partial + t]; }
  let all = tree_sum(dot(sum, vec4<f32>(1.0)), lane);
  if (lane == 0u) {
    let r = sqrt(all / p.cells);
    var inverse = 0.0;
    if (r > 0.0) { inverse = 1.0 / r; }
    arena[p.radius] = vec4<f32>(r, inverse, 0.0, 0.0);
  }
}
