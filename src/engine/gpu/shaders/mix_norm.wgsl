// 1 / |f'|, or 0 for a zero vector: one workgroup.

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var c = lane; c < p.groups; c += 64u) {
    let v = arena[p.centred + c];
    sum += dot(v, v);
  }
  let all = tree_sum(sum, lane);
  if (lane == 0u) {
    var inverse = 0.0;
    if (all > 0.0) { inverse = 1.0 / sqrt(all); }
    arena[p.norm] = vec4<f32>(inverse);
  }
}
