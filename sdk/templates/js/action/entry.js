
const { actionHandler: action } = guest;

export const actionHandler = { onMessage: runs(action, 'onMessage'), onEvent: runs(action, 'onEvent'), call: runs(action, 'call') };
