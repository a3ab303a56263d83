
const { actionHandler: action } = guest;

const VALUES = {
  empty: (it) => it === undefined,
  null: (it) => it === undefined,
  boolean: (it) => typeof it === 'boolean',
  integer: isS64,
  double: (it) => typeof it === 'number',
  text: isText,
  json: isText,
  bytes: (it) => it instanceof Uint8Array,
  time: isS64,
};
const isValue = (it) => isText(it?.tag) && Object.hasOwn(VALUES, it.tag) && VALUES[it.tag](it.val);
const areValues = (it) => Array.isArray(it) && it.every(isValue);

export const actionHandler = {
  onMessage: runs(action, 'onMessage'),
  onEvent: runs(action, 'onEvent'),
  call: runs(action, 'call', areValues, "a list of values, as [{ tag: 'double', val: 21.5 }] or [{ tag: 'integer', val: 5n }]"),
};
