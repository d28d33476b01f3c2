package engine

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	"github.com/patchcycle/patchcycle/internal/freeport"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// inner is where the services of the server meet each other.
const inner = "127.0.0.1"

// services are Temporal's four and the internal frontend: the server's own
// workers call that one, because they carry no token.
var services = append(slices.Clone(temporal.DefaultServices), string(primitives.InternalFrontendService))

// serve starts the server and returns what stops it.
func serve(o Options, port int, p *persistence, mTLS *internode, keeper *gate.Keeper, dynamic *settings, log *serverLog) (stop func(), err error) {
	conf, err := configure(o.IP, port, p)
	if err != nil {
		return nil, err
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for _, name := range services {
		rpc := conf.Services[name].RPC
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(dialable(rpc.BindOnIP, rpc.GRPCPort))
	}
	var srv temporal.Server
	err = log.survive(func() (err error) {
		srv, err = temporal.NewServer(
			temporal.WithConfig(conf),
			temporal.ForServices(services),
			temporal.WithStaticHosts(hosts),
			temporal.WithLogger(log),
			temporal.WithAuthorizer(&authorizer{keeper, log}),
			temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claimMapper{} }),
			temporal.WithTLSConfigFactory(mTLS),
			temporal.WithDynamicConfigClient(dynamic),
		)
		if err != nil {
			return err
		}
		return srv.Start()
	})
	if err != nil {
		return nil, fmt.Errorf("start the embedded Temporal server: %w", err)
	}
	log.serving()
	return func() {
		log.hush()
		_ = log.survive(srv.Stop) // nothing is left to be done about a stop that fails
	}, nil
}

// settings are the server's dynamic ones that differ from its defaults. Limits
// of payloads and histories keep theirs.
type settings struct{ settled atomic.Bool }

// GetValue implements dynamicconfig.Client.
func (s *settings) GetValue(key dynamicconfig.Key) []dynamicconfig.ConstrainedValue {
	if key == dynamicconfig.NamespaceCacheRefreshInterval.Key() && !s.settled.Load() {
		return whileStarting
	}
	return fixed.GetValue(key)
}

// whileStarting has each service see the namespace and its search attributes
// soon after they were made; the default is two seconds.
var whileStarting = value(refreshWhileStarting)

const refreshWhileStarting = 50 * time.Millisecond

var fixed = dynamicconfig.StaticClient{
	// Nobody may change a namespace once the engine is up.
	dynamicconfig.NamespaceCacheRefreshInterval.Key(): value(10 * time.Second),
	// Signals carry who sent them. Refusals carry why.
	dynamicconfig.EnablePrincipalPropagation.Key(): value(true),
	dynamicconfig.ExposeAuthorizerErrors.Key():     value(true),
	// The server would ask a host of Temporal's for news each day.
	dynamicconfig.EnableServerVersionCheck.Key(): value(false),
	// One process serves everything: partitions of a queue would only forward to
	// each other.
	dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  value(1),
	dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): value(1),
	// Executions kept in memory; the default of 128,000 is for hosts of their own.
	dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): value(8192),
	// Lists and counts a second: the default of 10 is one page of the UI.
	dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): value(100),
}

// value is a setting for everything. The server compares by address whether it
// has changed, so it is made once.
func value(v any) []dynamicconfig.ConstrainedValue {
	return []dynamicconfig.ConstrainedValue{{Value: v}}
}

func configure(ip string, port int, p *persistence) (*config.Config, error) {
	ports, err := freeport.Quiet.Choose(inner, len(services)-1, port) // port is not listened on yet
	if err != nil {
		return nil, err
	}
	c := &config.Config{
		Persistence: p.config,
		Services:    map[string]config.Service{},
		// PublicClient stays empty: the server refuses it beside an internal
		// frontend.
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {
				Enabled: true, InitialFailoverVersion: 1, RPCAddress: net.JoinHostPort(inner, strconv.Itoa(port)),
			}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
	}
	for _, name := range services {
		if name == string(primitives.FrontendService) {
			c.Services[name] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: ip}}
			continue
		}
		c.Services[name] = config.Service{RPC: config.RPC{GRPCPort: ports[0], BindOnIP: inner}}
		ports = ports[1:]
	}
	c.Global.Membership.MaxJoinDuration = 30 * time.Second
	c.Global.Membership.BroadcastAddress = inner
	c.Archival.History.State, c.Archival.Visibility.State = config.ArchivalDisabled, config.ArchivalDisabled
	c.NamespaceDefaults.Archival.History.State, c.NamespaceDefaults.Archival.Visibility.State = config.ArchivalDisabled, config.ArchivalDisabled
	return c, nil
}

// clusterName is written into the database at the first start: never change it.
const clusterName = "active"
