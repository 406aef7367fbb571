#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { keepCompiledCode } from './compile-cache.js';

if (existsSync('.env')) loadEnvFile('.env');
// These two files are JavaScript, so that not even they need what takes types out of code, which takes long to load.
keepCompiledCode();
await import('./program.ts');
