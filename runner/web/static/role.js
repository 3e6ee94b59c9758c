// Who looks at the page, and what this role may do. The service decides; here it is only shown.

const ROLES = ["viewer", "operator", "admin"];
export const me = { actor: "", role: "", via: "" };

// Why the caller may not do what takes this role; null if it may, or if nobody knows yet.
export function lacks(role) {
  if (!me.role || ROLES.indexOf(me.role) >= ROLES.indexOf(role)) return null;
  return `This takes the role ${role}; ${me.actor} has the role ${me.role}.`;
}

export function introduce(answer) {
  Object.assign(me, answer);
  document.getElementById("caller").textContent = me.role && `${me.actor} (${me.role})`;
  // Whom the socket's owner or a header lets in has nothing to sign out of.
  document.getElementById("sign-out").hidden = me.via !== "session";
}
