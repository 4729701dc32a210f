// Fetches the page every two seconds, while somebody looks at it, and shows its new figures in the place of the old ones.
const lost = document.getElementById("lost");
async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [now, then] = [page.querySelector("main"), document.querySelector("main")];
    const opened = then.querySelector("details")?.open;
    const map = now.querySelector("details");
    if (opened && map) { map.open = true; map.querySelector("img").src = "/heap.svg?" + Date.now(); }
    const scroll = then.querySelector("pre")?.scrollTop;
    then.replaceWith(document.adoptNode(now));
    if (scroll) now.querySelector("pre").scrollTop = scroll;
    lost.hidden = true;
  } catch { lost.hidden = false; }
}
setInterval(refresh, 2000);
