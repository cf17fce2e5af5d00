// What is asked of the operator, how often, with which token; and which view shows the answer.
// The token is kept in this tab's session storage only, and never put into an address.

import { detail } from './detail.js';
import { list } from './list.js';
import { mark, say, span } from './words.js';

/** Time between two questions, ms: while it is looked at, and while it is not. */
const [EVERY, HIDDEN] = [2000, 30000];
/** Time between two looks at the last hour of all, ms. */
const HOUR_EVERY = 10000;
/** Longest wait for an answer, ms. */
const LIMIT = 10000;
const KEY = 'spillway-token';

const $ = (id) => document.getElementById(id);
const views = { list: list(), detail: detail() };
$('list').append(views.list.node);
$('detail').append(views.detail.node);

let histories = new Map();
let historiesAt = -Infinity;
/** When the last good answer came, on this machine's clock that never jumps. */
let answeredAt = null;
let problem = null;
let timer = null;
/** The last answer of an operator that stands by, if it does. */
let standby = null;
/** The last answer of one that works on some of the shards only, if it does. */
let part = null;
/** Questions are numbered: an answer to an older one is not shown. */
let asked = 0;

const token = () => sessionStorage.getItem(KEY);

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path) {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const answer = await fetch(path, { headers, cache: 'no-store', signal: AbortSignal.timeout(LIMIT) });
  const body = await answer.json().catch(() => ({}));
  // Of a scaler that is not there the rest is told all the same.
  if (!answer.ok && !('scaler' in body)) throw new Refused(answer.status, body.error ?? `the operator answered ${answer.status}`);
  return body;
}

/** Which scaler the address names, if any. */
function wanted() {
  const parts = location.hash.replace(/^#\/?/, '').split('/').map(decoded);
  return parts.length === 2 && parts[0] && parts[1] ? { namespace: parts[0], name: parts[1] } : null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function look() {
  clearTimeout(timer);
  asked += 1;
  const mine = asked;
  const one = wanted();
  try {
    const answer = one
      ? await ask(`api/scalers/${encodeURIComponent(one.namespace)}/${encodeURIComponent(one.name)}`)
      : await ask('api/scalers');
    if (!one && performance.now() - historiesAt >= HOUR_EVERY) {
      const all = (await ask('api/histories')).histories;
      histories = new Map(all.map((h) => [`${h.namespace}/${h.name}`, h.history]));
      historiesAt = performance.now();
    }
    if (mine !== asked) return;
    answeredAt = performance.now();
    problem = null;
    show(answer, one);
  } catch (error) {
    if (mine !== asked) return;
    problem = error;
    if (locked()) signIn(error.status === 401 && !token() ? null : error.message);
  }
  age();
  timer = setTimeout(look, document.hidden || locked() ? HIDDEN : EVERY);
}

function show(answer, one) {
  $('sign-in').hidden = true;
  $('list').hidden = Boolean(one);
  $('detail').hidden = !one;
  document.title = one ? `${one.name} · Spillway` : 'Spillway';
  const partly = answer.own < answer.shards;
  if (one) views.detail.update(answer.scaler, answer.now, one, answer.leads, partly);
  else views.list.update({ scalers: answer.scalers, histories, now: answer.now, leads: answer.leads, partly });
  $('user').hidden = false;
  say($('user-name'), answer.user);
  $('sign-out').hidden = !token();
  standby = answer.leads ? null : answer;
  part = answer.leads && partly ? answer : null;
  say($('footer'), `Spillway ${answer.version} · ${answer.identity}`);
}

function signIn(why) {
  $('sign-in').hidden = false;
  $('list').hidden = true;
  $('detail').hidden = true;
  $('user').hidden = true;
  const said = $('sign-in-problem');
  said.hidden = !why;
  say(said, why ?? '');
  if (document.activeElement === document.body) $('token').focus();
}

/** Whether another token is needed. */
const locked = () => problem?.status === 401 || problem?.status === 403;

/** Says how old what is shown is, and why. */
function age() {
  const live = $('live');
  const banner = $('banner');
  const seconds = answeredAt === null ? null : (performance.now() - answeredAt) / 1000;
  const waiting = locked();
  const stale = problem !== null || seconds === null || seconds > (document.hidden ? 45 : 12);
  mark(live, 'data-kind', waiting ? 'off' : stale ? 'stale' : standby ? 'standby' : 'live');
  say($('live-text'), waiting ? 'Signed out' : seconds === null ? 'Connecting' : stale ? `${span(seconds)} old` : standby ? 'Standby' : 'Live');
  mark(document.body, 'data-stale', stale && !waiting && seconds !== null ? '' : null);
  let text = '';
  if (problem && !waiting) {
    const why = problem.status ? problem.message : 'The operator does not answer. With kubectl port-forward: is it still running?';
    text = seconds === null ? why : `${why} What is shown is ${span(seconds)} old.`;
  } else if (part && !waiting) {
    const others = part.holders.filter((pod) => pod !== part.identity);
    text = `This operator (${part.identity}) has ${part.own} of ${part.shards} shards: other scalers are not shown here. `
      + (others.length ? `They are with ${others.join(', ')}: kubectl -n ${part.namespace} port-forward pod/${others[0]} 8080` : 'As far as it knows nobody has them; in a moment somebody will.');
  } else if (standby && !waiting) {
    const others = standby.holders.filter((pod) => pod !== standby.identity);
    text = others.length
      ? `This operator (${standby.identity}) stands by and looks at no scaler. ${others.length > 1 ? 'Those that work are' : 'The one that works is'} ${others.join(', ')}: kubectl -n ${standby.namespace} port-forward pod/${others[0]} 8080`
      : `This operator (${standby.identity}) stands by and looks at no scaler, and as far as it knows no other works. In a moment one will: kubectl -n ${standby.namespace} get lease,pods`;
  }
  banner.hidden = !text;
  say(banner, text);
}

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $('token').value.trim());
  $('token').value = '';
  look();
});

$('sign-out').addEventListener('click', () => {
  sessionStorage.removeItem(KEY);
  // Nothing of what was seen is left on the page.
  location.reload();
});

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  $('main').focus();
});

window.addEventListener('hashchange', () => {
  look().then(() => {
    window.scrollTo(0, 0);
    $('main').focus({ preventScroll: true });
  });
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) look();
});
setInterval(age, 1000);
look();
