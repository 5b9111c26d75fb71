// What a reduction computes of two values, and of none.
override KIND: u32 = REDUCE_SUM;

fn empty_fold() -> f32 {
  if (KIND == REDUCE_MAX) { return -3.4e38; }
  if (KIND == REDUCE_MIN) { return 3.4e38; }
  if (KIND == REDUCE_PRODUCT) { return 1.0; }
  return 0.0;
}

fn fold(v: f32, x: f32) -> f32 {
  if (KIND == REDUCE_MAX) { return max(v, x); }
  if (KIND == REDUCE_MIN) { return min(v, x); }
  if (KIND == REDUCE_PRODUCT) { return v * x; }
  return v + x;
}
