// Figures as people read them, the order and meaning of states, and how elements are made.
// Every text comes in as text: nothing here, and nothing on the page, reads data as HTML.

/** The states, the most urgent first, and what each means. */
export const STATES = {
  Invalid: 'the resource cannot be acted on',
  Stuck: 'messages wait and nothing is processed',
  FallingBehind: 'a backlog grows, or will not be gone in time',
  DownstreamSaturated: 'more replicas did not process more',
  Blind: 'Kafka or the workload cannot be seen',
  Recovering: 'a backlog is drained, and will be gone in time',
  Paused: 'its owner paused it',
  KeepingUp: 'messages are processed in time',
  Idle: 'nothing arrives and nothing waits',
};
const ORDER = Object.keys(STATES);

/** Place of a state among them; one that is not known comes first. */
export const urgency = (state) => ORDER.indexOf(state);

/** What is shown for what is not known. */
export const UNKNOWN = '–';
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** 4,379 or 1.2 M. */
export function count(value) {
  if (!known(value)) return UNKNOWN;
  const units = [[1e12, 'T'], [1e9, 'G'], [1e7, 'M']];
  for (const [size, unit] of units) {
    if (Math.abs(value) >= size) return `${trim(value / (size === 1e7 ? 1e6 : size))} ${unit}`;
  }
  return Math.round(value).toLocaleString('en');
}

/** 1 replica, 3 replicas. */
export const several = (n, what) => `${count(n)} ${what}${n === 1 ? '' : 's'}`;

/** 120/s. */
export function rate(value) {
  if (!known(value)) return UNKNOWN;
  return `${value >= 100 || value === 0 ? count(value) : trim(value)}/s`;
}

const trim = (value) => Number(value.toPrecision(3)).toLocaleString('en');

/** 0s, 41s, 5m28s, 2h3m, 3d4h. */
export function span(seconds) {
  if (!known(seconds)) return UNKNOWN;
  let s = Math.max(0, seconds);
  if (s > 0 && s < 10) return `${Number(s.toFixed(1))}s`;
  s = Math.round(s);
  const two = (big, unit, small, less) => `${big}${unit}${small ? `${small}${less}` : ''}`;
  if (s < 60) return `${s}s`;
  if (s < 3600) return two(Math.floor(s / 60), 'm', s % 60, 's');
  if (s < 86400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'm');
  return two(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
}

/** A moment on the reader's clock. */
export function clock(at, seconds = true) {
  const style = { hour: '2-digit', minute: '2-digit', hour12: false };
  if (seconds) style.second = '2-digit';
  return new Date(at * 1000).toLocaleTimeString('en-GB', style);
}

/** `FallingBehind` as words that may wrap: Falling behind. */
export const words = (camel) => camel.replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);

/** An element. Attributes that are null are left out; children are elements or text. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An element of SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Sets the text of an element when it changed: what is selected or read out stays. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or takes away an attribute when it changed. */
export function mark(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** A state, as a badge that says what it means. */
export function badge() {
  const text = el('span');
  const node = el('span', { class: 'badge' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), text);
  return {
    node,
    update(state) {
      mark(node, 'data-state', state);
      mark(node, 'title', STATES[state] ?? '');
      say(text, words(state));
    },
  };
}

/** Keeps the children of a node in step with data: one component a key, made once, updated after. */
export function keyed(node, make) {
  const parts = new Map();
  return (items, key) => {
    const wanted = new Set();
    let at = node.firstElementChild;
    for (const item of items) {
      const id = key(item);
      wanted.add(id);
      if (!parts.has(id)) parts.set(id, make(item));
      const part = parts.get(id);
      part.update(item);
      if (part.node === at) at = at.nextElementSibling;
      else node.insertBefore(part.node, at);
    }
    for (const [id, part] of parts) {
      if (!wanted.has(id)) {
        part.node.remove();
        parts.delete(id);
      }
    }
  };
}
