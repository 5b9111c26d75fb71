// Channel weights w_kc = gate(f'_c) d_kc, divided by |f'| if asked: one invocation per class and four channels.
struct Params {
  centred: u32, norm: u32, directions: u32, weights: u32,
  groups: u32, total: u32, row: u32,
}

// 0: the feature, 1: its absolute value, 2: one
override GATE: u32 = 0u;
override NORMALISE: bool = false;
override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  var v = arena[p.directions + t];
  if (GATE == 0u) { v *= arena[p.centred + t % p.groups]; }
  if (GATE == 1u) { v *= abs(arena[p.centred + t % p.groups]); }
  if (NORMALISE) { v *= arena[p.norm].x; }
  arena[p.weights + t] = v;
}
