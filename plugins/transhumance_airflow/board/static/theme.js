// Light or dark as Airflow is: within its page, what its page shows now; alone, what it keeps; else what the system says.
(() => {
  const mine = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let airflow = null;
  try {
    if (parent !== self) airflow = parent.document.documentElement;
  } catch {
    // framed by another origin: its theme is not ours to read
  }
  const kept = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  };
  const dark = () => {
    if (airflow && /(^| )(dark|light)( |$)/.test(airflow.className)) return airflow.classList.contains("dark");
    const said = kept();
    return said === "dark" || (said !== "light" && system.matches);
  };
  const apply = () => {
    const theme = dark() ? "dark" : "light";
    if (mine.dataset.theme === theme) return;
    mine.dataset.theme = theme;
    mine.dispatchEvent(new Event("theme"));
  };
  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  if (airflow) new MutationObserver(apply).observe(airflow, { attributes: true, attributeFilter: ["class"] });
})();
