// The maps, second step: adds the slices of mix_maps.wgsl, four cells an invocation.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.per_slice) { return; }
  var v = vec4<f32>(0.0);
  for (var s = 0u; s < p.slices; s++) { v += arena[p.partial + s * p.per_slice + t]; }
  arena[p.maps + t] = v;
}
