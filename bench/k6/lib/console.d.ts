/** k6 has it; the types of k6 leave it to the DOM's. */
declare const console: { log(text: string): void }
