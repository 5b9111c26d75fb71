// The maps, second step: adds the slices of mix_maps.wgsl, four cells an invocation.
struct Params { partial: u32, maps: u32, slices: u32, per_slice: u32, row: u32 }

override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.per_slice) { return; }
  var v = vec4<f32>(0.0);
  for (var s = 0u; s < p.slices; s++) { v += arena[p.partial + s * p.per_slice + t]; }
  arena[p.maps + t] = v;
}
