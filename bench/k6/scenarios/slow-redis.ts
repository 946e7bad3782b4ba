/** A rush while Redis stands still again and again, by the runner: slow answers, but no wrong one. */
export { default, options, setup } from './rush.ts'
