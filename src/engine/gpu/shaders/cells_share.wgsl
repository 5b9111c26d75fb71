// Evidence of every class at four cells, and the maps: offset, ReLU and squared class share. One invocation per four cells.

override SHARE: bool = true;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.quads) { return; }
  var largest = vec4<f32>(-3.4e38);
  for (var k = 0u; k < p.classes; k++) {
    var s = vec4<f32>(0.0);
    for (var l = 0u; l < p.layers; l++) {
      let i = l * p.classes + k;
      s += (arena[p.raw + i * p.quads + t] - vec4<f32>(arena[p.constants + i].x)) * arena[p.radii + l].y;
    }
    s /= f32(p.layers);
    arena[p.evidence + k * p.quads + t] = s;
    largest = max(largest, s);
  }
  var total = vec4<f32>(0.0);
  if (SHARE) {
    for (var k = 0u; k < p.classes; k++) { total += exp(p.sharpness * (arena[p.evidence + k * p.quads + t] - largest)); }
  }
  for (var k = 0u; k < p.classes; k++) {
    let s = arena[p.evidence + k * p.quads + t];
    var v = max(s - vec4<f32>(p.offset), vec4<f32>(0.0));
    if (SHARE) {
      let share = exp(p.sharpness * (s - largest)) / total;
      v *= share * share;
    }
    arena[p.maps + k * p.quads + t] = v;
  }
}
