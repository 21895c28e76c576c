// One operation by Node's basic-ftp: `basic_ftp.cjs JSON`, see libraries.py.
"use strict";
const fs = require("node:fs");
const { Client } = require("basic-ftp");

const TIMEOUT_MS = 20000;

const operations = {
    async list(client, path) {
        const found = {};
        for (const entry of await client.list(path)) found[entry.name] = entry.isFile ? entry.size : null;
        return found;
    },
    async download(client, remote, local) { await client.downloadTo(local, remote); },
    async upload(client, local, remote) { await client.uploadFrom(local, remote); },
    async resume_download(client, remote, local) { await client.downloadTo(local, remote, fs.statSync(local).size); },
    async resume_upload(client, local, remote) {
        await client.appendFrom(local, remote, { localStart: await client.size(remote) });
    },
    async rename(client, from, to) { await client.rename(from, to); },
    async delete(client, path) { await client.remove(path); },
    async mkdir(client, path) { await client.send("MKD " + path); },
    async rmdir(client, path) { await client.removeEmptyDir(path); },
    async deep_upload(client, local, remote) {
        const at = remote.lastIndexOf("/");
        await client.ensureDir(remote.slice(0, at));
        await client.uploadFrom(local, remote.slice(at + 1));
    },
    async tree_download(client, remote, local) { await client.downloadToDir(local, remote); },
    async tree_upload(client, local, remote) { await client.uploadFromDir(local, remote); },
};

async function main() {
    const order = JSON.parse(process.argv[2]);
    const client = new Client(TIMEOUT_MS);
    client.ftp.verbose = true;
    client.ftp.log = (line) => process.stderr.write(line + "\n");
    let answer;
    try {
        const version = order.tls && "TLSv" + order.tls.version;
        const secure = order.tls
            ? { secure: true, secureOptions: { ca: fs.readFileSync(order.tls.ca), minVersion: version, maxVersion: version } } : {};
        await client.access({ host: order.host, port: order.port, user: order.user, password: order.password, ...secure });
        answer = { value: (await operations[order.op](client, ...order.args)) ?? null };
    } catch (error) {
        answer = { error: String(error) };
    }
    client.close();
    process.stdout.write(JSON.stringify(answer) + "\n");
}

main();
