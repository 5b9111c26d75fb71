// The maps, sum_c w_kc A_c, first step: each invocation sums one slice of MAP_SLICE channel groups at four cells of one
// class. mix_sum.wgsl adds the slices.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let slice = t / p.per_slice;
  let k = t % p.per_slice / p.quads;
  let cell = t % p.quads * 4u;
  let last = p.cells - 1u;
#for i 4
  let x{i} = min(cell + {i}u, last) * p.groups;
  var sum{i} = vec4<f32>(0.0);
#end
  let w = p.channel_weights + k * p.groups;
  let end = min(slice * MAP_SLICE + MAP_SLICE, p.groups);
  for (var c = slice * MAP_SLICE; c < end; c++) {
    let v = arena[w + c];
#for i 4
    sum{i} += v * float_weights(x{i} + c);
#end
  }
  let one = vec4<f32>(1.0);
  arena[p.partial + t] = vec4<f32>(dot(sum0, one), dot(sum1, one), dot(sum2, one), dot(sum3, one));
}
