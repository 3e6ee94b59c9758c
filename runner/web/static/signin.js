// What the form does better with a script; it works without.

// Browsers send no SameSite=Strict cookie with a link of another site, in a mail or a chat, so whoever is
// signed in is asked for a token. Asked for by this page itself, the same address comes with the cookie.
if (document.documentElement.hasAttribute("data-again")) location.reload();

// After signing in, the view is the one that the address names.
document.querySelector("form").action += location.hash;
