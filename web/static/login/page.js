// The login: exchanges a token for a session cookie.

const form = document.getElementById("login");
const problem = document.getElementById("problem");

/** The page that was asked for before the login; nothing but a page of this server. */
function wayBack() {
  const asked = new URLSearchParams(location.search).get("next") ?? "/";
  const target = URL.canParse(asked, location.origin) ? new URL(asked, location.origin) : null;
  return target?.origin === location.origin ? target.href : "/";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  try {
    const answer = await fetch("/api/login", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Muster-CSRF": "1" },
      body: JSON.stringify({ token: form.token.value.trim() }),
    });
    if (answer.ok) {
      location.replace(wayBack());
      return;
    }
    problem.textContent = (await answer.json()).error.message;
  } catch {
    problem.textContent = problem.dataset.unreachable;
  }
  form.token.select();
});
