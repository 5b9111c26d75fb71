// Channel weights w_kc = gate(f'_c) d_kc, divided by |f'| if asked: one invocation per class and four channels.
override GATE: u32 = GATE_FEATURE;
override NORMALISE: bool = false;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  var v = arena[p.directions + t];
  if (GATE == GATE_FEATURE) { v *= arena[p.centred + t % p.groups]; }
  if (GATE == GATE_ABS) { v *= abs(arena[p.centred + t % p.groups]); }
  if (NORMALISE) { v *= arena[p.norm].x; }
  arena[p.weights + t] = v;
}
