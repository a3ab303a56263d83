
const { ruleHandler: rule } = guest;

export const ruleHandler = { check: runs(rule, 'check') };
