#!/usr/bin/env node
import { keepCompiledCode } from './compile-cache.js';

// These two files are JavaScript, so that not even they need what takes types out of code, which takes long to load.
keepCompiledCode();
await import('./program.ts');
