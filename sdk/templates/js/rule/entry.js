
const { ruleHandler: rule } = guest;

const VERDICTS = ['allow', 'deny', 'nothing'];

export const ruleHandler = { check: runs(rule, 'check', (it) => VERDICTS.includes(it), VERDICTS.join(', ')) };
