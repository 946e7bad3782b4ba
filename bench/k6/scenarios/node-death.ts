/** A rush in the middle of which a node is killed, by the runner: its buyers repeat, and lose nothing. */
export { default, options, setup } from './rush.ts'
