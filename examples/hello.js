#!/usr/bin/env qjs
// Greets whoever is named.
//   potluck run examples/hello.js Ada

console.log(`Hello, ${scriptArgs[1] ?? "world"}! This is JavaScript.`);
