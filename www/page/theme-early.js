// Runs before the first paint, so that a chosen theme does not flash the other one. Classic script: modules come too
// late.
try {
  const chosen = localStorage.getItem("famlens.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: the system's theme it is.
}
if (location.protocol === "file:")
  addEventListener("DOMContentLoaded", () => document.getElementById("needs-server")?.removeAttribute("hidden"));
