// Starts `lotmq lsp` for .lot files; everything else is the server's.
"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

async function start() {
  const settings = vscode.workspace.getConfiguration("lot");
  const broker = settings.get("broker");
  const args = broker ? ["lsp", "--broker", broker] : ["lsp"];
  const server = { command: settings.get("server.path"), args };
  client = new LanguageClient("lot", "LoT", server, { documentSelector: [{ language: "lot" }] });
  await client.start();
}

async function stop() {
  await client?.stop();
  client = undefined;
}

exports.activate = async (context) => {
  const restart = async (event) => {
    if (event.affectsConfiguration("lot")) {
      await stop();
      await start();
    }
  };
  context.subscriptions.push(vscode.workspace.onDidChangeConfiguration(restart));
  await start();
};

exports.deactivate = stop;
